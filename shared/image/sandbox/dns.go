package sandbox

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// maxAnswer is the most that goes over UDP in one piece everywhere; what is longer is asked for again over TCP.
const maxAnswer = 1232

// errDropped is a message that gets no answer.
var errDropped = errors.New("no question")

// question is what a program inside asks, as far as it is passed on.
type question struct {
	id    uint16
	asked dnsmessage.Question
	// room is how many bytes an answer over UDP may have.
	room int
}

// parseQuestion reads one message from inside. Everything that is not one ordinary question is dropped: it comes
// from foreign code, and silence is the cheapest answer.
func parseQuestion(message []byte) (question, error) {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil || header.Response || header.OpCode != 0 {
		return question{}, errDropped
	}
	asked, err := p.AllQuestions()
	if err != nil || len(asked) != 1 || asked[0].Class != dnsmessage.ClassINET {
		return question{}, errDropped
	}
	return question{id: header.ID, asked: asked[0], room: roomFor(&p)}, nil
}

// roomFor reads how long an answer the asker takes.
func roomFor(p *dnsmessage.Parser) int {
	const least = 512
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return least
	}
	for {
		h, err := p.AdditionalHeader()
		if err != nil {
			return least
		}
		if h.Type == dnsmessage.TypeOPT {
			return min(max(int(h.Class), least), maxAnswer)
		}
		if p.SkipAdditional() != nil {
			return least
		}
	}
}

// judge decides what happens to a question: passed on, or answered here with a code.
func (q question) judge() (pass bool, code dnsmessage.RCode) {
	switch {
	case !publicName(q.asked.Name.String()):
		return false, dnsmessage.RCodeNameError
	case q.asked.Type == dnsmessage.TypeSVCB, q.asked.Type == dnsmessage.TypeHTTPS:
		// they tell addresses by the way, and every program can do without
		return false, dnsmessage.RCodeSuccess
	case q.asked.Type == dnsmessage.TypeALL, q.asked.Type == dnsmessage.TypeAXFR:
		return false, dnsmessage.RCodeRefused
	}
	return true, dnsmessage.RCodeSuccess
}

// privateSuffixes end names that mean something only inside: on Fly, on this machine, in a house or a cluster.
//
//nolint:gochecknoglobals // a table
var privateSuffixes = []string{
	"internal", "flycast", "local", "localhost", "localdomain", "lan", "home", "corp", "intranet", "private", "home.arpa",
	"consul", "onion", "invalid", "ip6.arpa",
}

// publicName tells whether a name can be one of the public internet.
func publicName(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !strings.Contains(name, ".") {
		return false
	}
	if rest, reverse := strings.CutSuffix(name, ".in-addr.arpa"); reverse {
		return publicReverse(rest)
	}
	return !slices.ContainsFunc(privateSuffixes, func(s string) bool { return strings.HasSuffix(name, "."+s) || name == s })
}

// publicReverse reads the reversed address of a PTR question.
func publicReverse(reversed string) bool {
	parts := strings.Split(reversed, ".")
	slices.Reverse(parts)
	a, err := netip.ParseAddr(strings.Join(parts, "."))
	return err == nil && public(a)
}

// query is the question as it is passed on, under an id of our own.
func (q question) query(id uint16) ([]byte, error) {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := errors.Join(b.StartQuestions(), b.Question(q.asked), b.StartAdditionals()); err != nil {
		return nil, err
	}
	var opt dnsmessage.ResourceHeader
	if err := errors.Join(opt.SetEDNS0(maxAnswer, dnsmessage.RCodeSuccess, false), b.OPTResource(opt, dnsmessage.OPTResource{})); err != nil {
		return nil, err
	}
	return b.Finish() //nolint:wrapcheck // the caller says what failed
}

// answerOf reads what a server answered to the query id. Its records are taken one by one: addresses that are not
// public, and not allowed, are cut, so that no name of the internet points into a private network.
func (q question) answerOf(message []byte, id uint16, allowed []netip.Addr) (m dnsmessage.Message, err error) {
	if err := m.Unpack(message); err != nil {
		return m, err //nolint:wrapcheck // the caller says what failed
	}
	same := m.Response && m.ID == id && len(m.Questions) == 1 && m.Questions[0].Type == q.asked.Type &&
		m.Questions[0].Class == q.asked.Class && strings.EqualFold(m.Questions[0].Name.String(), q.asked.Name.String())
	if !same {
		return m, errors.New("answer to another question")
	}
	keep := func(list []dnsmessage.Resource) []dnsmessage.Resource {
		return slices.DeleteFunc(list, func(r dnsmessage.Resource) bool { return !wanted(r, allowed) })
	}
	m.Answers, m.Authorities, m.Additionals = keep(m.Answers), keep(m.Authorities), keep(m.Additionals)
	return m, nil
}

// wanted tells whether a record may be known inside.
func wanted(r dnsmessage.Resource, allowed []netip.Addr) bool {
	switch body := r.Body.(type) {
	case *dnsmessage.AResource:
		a := netip.AddrFrom4(body.A)
		return public(a) || slices.Contains(allowed, a)
	case *dnsmessage.AAAAResource, *dnsmessage.OPTResource:
		// there is no IPv6 inside: an address that cannot be reached only costs time. The question is passed on all the
		// same, so that a server that fails, or does not know the name, says so for both kinds of addresses
		return false
	}
	return r.Header.Type != dnsmessage.TypeSVCB && r.Header.Type != dnsmessage.TypeHTTPS
}

// pack makes m the answer to q.
func (q question) pack(m dnsmessage.Message) ([]byte, error) {
	m.ID, m.Response, m.Authoritative = q.id, true, false
	m.RecursionDesired, m.RecursionAvailable = true, true
	m.Questions = []dnsmessage.Question{q.asked}
	return m.Pack() //nolint:wrapcheck // the caller says what failed
}

// fit makes the answer m as long as the asker takes over UDP: what is longer is left out, and asked for over TCP.
func (q question) fit(m dnsmessage.Message) ([]byte, error) {
	whole, err := q.pack(m)
	if err != nil || len(whole) <= q.room {
		return whole, err
	}
	return q.pack(dnsmessage.Message{Header: dnsmessage.Header{RCode: m.RCode, Truncated: true}})
}
