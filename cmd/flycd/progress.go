package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/gigurra/flycd/shared/report"
)

// board shows what each of several apps is at: a live line per app on a terminal, and nothing
// elsewhere but what builders print. It is safe for concurrent use.
type board struct {
	w    io.Writer
	live bool

	mu    sync.Mutex
	names []string
	now   map[string]string
	drawn int
}

func newBoard(w io.Writer, names []string) *board {
	return &board{w: w, live: isTerminal(w), names: names, now: map[string]string{}}
}

// logger gives the logger of one app: its events move the app's line.
func (b *board) logger(name string) *slog.Logger { return slog.New(boardHandler{b, name, ""}) }

// say shows text as what the app is at.
func (b *board) say(name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.live {
		return
	}
	b.now[name] = report.OneLine(text)
	b.draw()
}

// build shows a line that a builder printed.
func (b *board) build(name, line string) {
	if b.live {
		b.say(name, line)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.w, "%s: %s\n", name, line)
}

// done takes the live lines away, so that the results can be printed.
func (b *board) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live && b.drawn > 0 {
		fmt.Fprintf(b.w, "\x1b[%dA\x1b[J", b.drawn)
		b.drawn = 0
	}
}

const boardLines, boardWidth = 20, 110

func (b *board) draw() {
	var s strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&s, "\x1b[%dA\x1b[J", b.drawn)
	}
	b.drawn = 0
	for _, name := range b.names {
		if text, ok := b.now[name]; ok && b.drawn < boardLines {
			line := []rune(name + "  " + text)
			s.WriteString(string(line[:min(len(line), boardWidth)]) + "\n")
			b.drawn++
		}
	}
	_, _ = io.WriteString(b.w, s.String())
}

// boardHandler turns log events into a board's lines.
type boardHandler struct {
	board *board
	name  string
	attrs string
}

func (h boardHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h boardHandler) Handle(_ context.Context, r slog.Record) error {
	text := r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		text += attrText(a)
		return true
	})
	h.board.say(h.name, text)
	return nil
}

func (h boardHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		if a.Key != "app" && a.Key != "job" {
			h.attrs += attrText(a)
		}
	}
	return h
}

func (h boardHandler) WithGroup(string) slog.Handler { return h }

func attrText(a slog.Attr) string { return " " + a.Key + "=" + a.Value.String() }
