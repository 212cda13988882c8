package secret

import (
	"bytes"
	"io"
	"sync"
)

// longestLine bounds what a Writer keeps of a line that does not end.
const longestLine = 64 << 10

// Writer hands text on without the values of a Redactor, line by line, so that a value which comes in
// pieces is found too. One that spans lines is found by its lines. It is safe for concurrent use.
type Writer struct {
	to     io.Writer
	redact Redactor

	mu   sync.Mutex
	line []byte
}

// Writer gives a Writer; close it to hand on the last line.
func (r Redactor) Writer(to io.Writer) *Writer { return &Writer{to: to, redact: r} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 && len(w.line) > longestLine {
		// whole values are taken out first, so that what is cut off at the end can only be the beginning of one
		w.line = []byte(w.redact.Redact(string(w.line)))
		end = max(len(w.line)-w.redact.Longest(), 0)
	}
	if end == 0 {
		return len(p), nil
	}
	_, err := io.WriteString(w.to, w.redact.Redact(string(w.line[:end])))
	w.line = append(w.line[:0], w.line[end:]...)
	return len(p), err
}

// Close hands on what is left.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) == 0 {
		return nil
	}
	_, err := io.WriteString(w.to, w.redact.Redact(string(w.line)))
	w.line = nil
	return err
}
