package dispatcher

import "bytes"

// maxDepth is how deep encoding/json lets JSON nest.
const maxDepth = 10000

// slim keeps of a push's JSON only the members that are read, and reports false where the whole is
// no JSON object. A push is mostly links: leaving them out before go-github decodes it takes a
// quarter off the dispatcher's work. It decides nothing else. A member with an unusual key is kept,
// so what go-github would have found is still there.
func slim(payload []byte) ([]byte, bool) {
	s := scanner{b: payload}
	out := make([]byte, 0, 512)
	s.space()
	out, ok := s.members(out, "")
	if !ok {
		return nil, false
	}
	s.space()
	return out, s.i == len(s.b)
}

// isRead tells whether push reads a member of the object at path.
func isRead(path string, key []byte) bool {
	var names []string
	switch path {
	case "":
		names = []string{"ref", "before", "after", "created", "deleted", "forced", "repository", "sender", "head_commit"}
	case "repository":
		names = []string{"clone_url", "default_branch", "pushed_at"}
	case "sender":
		names = []string{"login"}
	case "head_commit":
		names = []string{"message"}
	}
	for _, name := range names {
		// encoding/json finds fields whatever the case of their letters.
		if len(key) == len(name) && bytes.EqualFold(key, []byte(name)) {
			return true
		}
	}
	return unusual(key)
}

// unusual tells whether a key may spell a name in another way: with escapes, or with letters that
// fold to plain ones.
func unusual(key []byte) bool {
	for _, c := range key {
		if c == '\\' || c >= 0x80 {
			return true
		}
	}
	return false
}

// scanner walks over JSON and checks it as encoding/json does.
type scanner struct {
	b     []byte
	i     int
	depth int
}

// members copies the members that are read of the object that begins here.
func (s *scanner) members(out []byte, path string) ([]byte, bool) {
	if !s.take('{') {
		return nil, false
	}
	out = append(out, '{')
	empty := len(out)
	ok := s.each('}', func() bool {
		start := s.i
		if !s.text() {
			return false
		}
		key := s.b[start+1 : s.i-1]
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		if !isRead(path, key) {
			return s.value()
		}
		if len(out) > empty {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), key...), '"', ':')
		if path == "" && s.at('{') && !unusual(key) && (len(key) == len("repository") || len(key) == len("sender") || len(key) == len("head_commit")) {
			var ok bool
			out, ok = s.members(out, string(bytes.ToLower(key)))
			return ok
		}
		from := s.i
		if !s.value() {
			return false
		}
		out = append(out, s.b[from:s.i]...)
		return true
	})
	return append(out, '}'), ok
}

// each walks over the elements of a list or the members of an object to its end.
func (s *scanner) each(end byte, element func() bool) bool {
	if s.depth++; s.depth > maxDepth {
		return false
	}
	s.space()
	if s.take(end) {
		s.depth--
		return true
	}
	for {
		s.space()
		if !element() {
			return false
		}
		s.space()
		if s.take(end) {
			s.depth--
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// value walks over any value.
func (s *scanner) value() bool {
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"':
		return s.text()
	case '{':
		s.i++
		return s.each('}', s.member)
	case '[':
		s.i++
		return s.each(']', s.value)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) member() bool {
	if !s.text() {
		return false
	}
	s.space()
	if !s.take(':') {
		return false
	}
	s.space()
	return s.value()
}

// text walks over a string.
func (s *scanner) text() bool {
	if !s.take('"') {
		return false
	}
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return true
		case c == '\\':
			if !s.escape() {
				return false
			}
		case c < 0x20:
			return false
		default:
			s.i++
		}
	}
	return false
}

func (s *scanner) escape() bool {
	rest := s.b[s.i+1:]
	if len(rest) == 0 {
		return false
	}
	if bytes.IndexByte([]byte(`"\/bfnrt`), rest[0]) >= 0 {
		s.i += 2
		return true
	}
	if rest[0] != 'u' || len(rest) < 5 {
		return false
	}
	for _, c := range rest[1:5] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	s.i += 6
	return true
}

// number walks over a number: -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return false
	}
	s.i += len(w)
	return true
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) take(c byte) bool {
	if !s.at(c) {
		return false
	}
	s.i++
	return true
}
