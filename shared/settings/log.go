package settings

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Log is what a setting says of a log: a format and a level, in any order, such as json,debug.
type Log struct {
	JSON  bool
	Level slog.Level
}

// ParseLog reads a variable that holds words for a log; level counts where none of them is one.
func ParseLog(variable, text string, level slog.Level) (Log, error) {
	l := Log{Level: level}
	for word := range strings.SplitSeq(text, ",") {
		var level slog.Level
		switch word = strings.TrimSpace(word); {
		case word == "json" || word == "text" || word == "":
			l.JSON = l.JSON || word == "json"
		case level.UnmarshalText([]byte(word)) == nil:
			l.Level = level
		default:
			return l, fmt.Errorf("%s=%q: expected text or json, and debug, info, warn or error", variable, text)
		}
	}
	return l, nil
}

// Logger writes such a log.
func (l Log) Logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.JSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
