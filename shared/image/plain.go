package image

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
)

// plain reads what buildctl prints with --progress plain, hands it on, and remembers what a failure is told by. A cache that could not
// be read is no failure: what looks like one is handed on in words.
type plain struct {
	to    io.Writer
	part  []byte
	steps map[string]*printed
	order []string
	// where is the line of the Dockerfile that is to blame, as Dockerfile:10; frame shows the lines around it.
	where   string
	frame   []string
	framing bool
	// before is the line before this one, of those that are no step's.
	before string
	// final is what buildctl says in the end.
	final []string
	// held waits for the line that says what the block is about which it begins; block is how far it is.
	held  string
	block block
}

// printed is what a step printed.
type printed struct {
	name, failed string
	lines        []string
}

// block is a part of buildctl's summary, between two rules.
type block int

const (
	noBlock block = iota
	begun
	shownBlock
	hiddenBlock
)

const (
	blockRule  = "------"
	frameRule  = "--------------------"
	cacheImage = "importing cache manifest from "
	noCache    = "ERROR: failed to configure registry cache importer: "
	endMark    = "error: failed to solve: "
)

var (
	stepLine  = regexp.MustCompile(`^#(\d+) (.*)$`)
	timedLine = regexp.MustCompile(`^\d+\.\d+ ?(.*)$`)
	whereLine = regexp.MustCompile(`^\S.*:\d+$`)
	numbering = regexp.MustCompile(`^\[[^\]]*\] `)
	pathTo    = regexp.MustCompile(`^(failed to compute cache key: |failed to load cache key: |failed to calculate checksum of ref \S+: |(?:\w+: )?rpc error: code = \w+ desc = )+`)
)

// Write implements io.Writer.
func (p *plain) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		p.part = append(p.part, line...)
		if bytes.HasSuffix(line, []byte("\n")) || len(p.part) > 32*longestLine {
			p.line(string(p.part))
			p.part = p.part[:0]
		}
	}
	return len(b), nil
}

// end hands on what waits.
func (p *plain) end() {
	if len(p.part) > 0 {
		p.line(string(p.part) + "\n")
		p.part = nil
	}
	p.say(p.held)
	p.held = ""
}

func (p *plain) say(text string) {
	if text != "" {
		_, _ = io.WriteString(p.to, text) // a log that fails does not fail the build
	}
}

func (p *plain) line(raw string) {
	text := strings.TrimRight(raw, "\r\n")
	if m := stepLine.FindStringSubmatch(text); m != nil && p.block == noBlock {
		p.say(p.stepSays(m[1], m[2], raw))
		return
	}
	switch {
	case p.block == begun && strings.HasPrefix(text, " > "+cacheImage):
		p.held, p.block = "", hiddenBlock
		return
	case p.block == begun:
		raw, p.held, p.block = p.held+raw, "", shownBlock
	case text == blockRule && p.block == noBlock:
		p.held, p.block = raw, begun
		return
	case text == blockRule && p.block == hiddenBlock:
		p.block = noBlock
		return
	case p.block == hiddenBlock:
		return
	case text == blockRule:
		p.block = noBlock
	case p.block == noBlock:
		p.summary(text)
	}
	p.say(raw)
}

// stepSays takes a line of a step, and gives what is handed on of it.
func (p *plain) stepSays(number, text, raw string) string {
	st, known := p.steps[number]
	if !known {
		if p.steps == nil {
			p.steps = map[string]*printed{}
		}
		p.steps[number] = &printed{name: text}
		p.order = append(p.order, number)
		return raw
	}
	if why, ok := strings.CutPrefix(text, noCache); ok {
		if strings.HasSuffix(why, ": not found") {
			return "#" + number + " there is none yet\n"
		}
		return "#" + number + " it is left out, which costs time and no build: " + why + "\n"
	}
	if why, ok := strings.CutPrefix(text, "ERROR: "); ok {
		st.failed = why
	}
	if m := timedLine.FindStringSubmatch(text); m != nil && strings.TrimSpace(m[1]) != "" {
		st.lines = append(st.lines, cut(strings.TrimRight(m[1], " \t\r"), longestLine))
		st.lines = st.lines[max(0, len(st.lines)-keptLines):]
	}
	return raw
}

// summary takes a line of what follows the steps.
func (p *plain) summary(text string) {
	end, ends := strings.CutPrefix(text, endMark)
	switch {
	case ends:
		p.final = []string{end}
	case len(p.final) > 0:
		p.final = append(p.final, cut(text, longestLine))
		p.final = p.final[:min(len(p.final), keptLines)]
	case p.framing:
		p.frame = append(p.frame, cut(text, longestLine))
		p.framing = text != frameRule
	case text == frameRule && whereLine.MatchString(p.before):
		p.where, p.frame, p.framing = p.before, []string{p.before, text}, true
	}
	p.before = text
}

// message is what BuildKit says in the end, without its own path to it.
func (p *plain) message() string {
	return pathTo.ReplaceAllString(strings.TrimSpace(strings.Join(p.final, "\n")), "")
}

// at begins a sentence about a line of the Dockerfile.
func (p *plain) at() string {
	if p.where == "" {
		return ""
	}
	return p.where + ": "
}

// failing is the step that the end comes from; nil is none.
func (p *plain) failing() *printed {
	end := strings.Join(p.final, "\n")
	for _, number := range slices.Backward(p.order) {
		if st := p.steps[number]; st.failed != "" && strings.HasSuffix(end, st.failed) {
			return st
		}
	}
	return nil
}

// shown is what a failure is followed by: what its step printed last, and the lines of the Dockerfile.
func (p *plain) shown() string {
	var lines []string
	if st := p.failing(); st != nil {
		lines = append(lines, st.lines...)
	}
	return strings.Join(append(lines, p.frame...), "\n")
}

// cut keeps the beginning of a line that nobody reads to its end.
func cut(line string, most int) string {
	if len(line) <= most {
		return line
	}
	return strings.ToValidUTF8(line[:most], "") + "…"
}
