package settings_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/settings"
)

type inner struct {
	Token string   `env:"TOKEN" file:"yes" help:"a token"`
	Repos []string `env:"REPOS" help:"repositories"`
}

type outer struct {
	URL    string `env:"URL" help:"an address"`
	Inner  inner
	Port   int           `env:"PORT" envDefault:"8080" help:"a port"`
	Wait   time.Duration `env:"WAIT" help:"a while"`
	Until  time.Time     `env:"UNTIL" help:"an end"`
	On     bool          `env:"ON" help:"a switch"`
	Judged []string      `env:"-"`
	hidden int
}

func TestEnvironmentIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(" from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := settings.Read[outer]([]string{"URL=u", "TOKEN_FILE=" + file, "REPOS=a,b", "WAIT=3s", "UNTIL=2026-01-31T12:00:00Z", "ON=true"})
	if err != nil {
		t.Fatal(err)
	}
	if got.URL != "u" || got.Inner.Token != "from a file" || len(got.Inner.Repos) != 2 || got.Port != 8080 || got.Wait != 3*time.Second || got.Until.IsZero() || !got.On || got.hidden != 0 {
		t.Errorf("got %+v", got)
	}
	if got, err = settings.Read[outer]([]string{"TOKEN=mine", "TOKEN_FILE=" + file}); got.Inner.Token != "mine" || err != nil {
		t.Errorf("the variable does not win: %+v, %v", got, err)
	}
}

func TestWrongSettingIsNamed(t *testing.T) {
	for variable, want := range map[string]string{
		"PORT=many":        `PORT="many": expected a whole number`,
		"WAIT=long":        `WAIT="long": expected a duration such as 10s`,
		"UNTIL=late":       `UNTIL="late": expected a time such as 2026-01-31T12:00:00Z`,
		"ON=perhaps":       `ON="perhaps": expected true or false`,
		"TOKEN_FILE=/no/x": "read TOKEN_FILE: open /no/x: no such file or directory",
	} {
		if _, err := settings.Read[outer]([]string{variable}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", variable, err, want)
		}
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	var b bytes.Buffer
	settings.Help[outer](&b)
	const want = "  URL         an address\n  TOKEN       a token\n  TOKEN_FILE  a file that holds TOKEN\n  REPOS       repositories\n" +
		"  PORT        a port (default 8080)\n  WAIT        a while\n  UNTIL       an end\n  ON          a switch\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestListHasNothingEmpty(t *testing.T) {
	if got := strings.Join(settings.List(" a, b\n,,c d "), "|"); got != "a|b|c d" {
		t.Errorf("got %s", got)
	}
}

func TestLogIsAFormatAndALevel(t *testing.T) {
	for text, want := range map[string]settings.Log{
		"":             {Level: slog.LevelWarn},
		"json":         {JSON: true, Level: slog.LevelWarn},
		"debug, json":  {JSON: true, Level: slog.LevelDebug},
		"text,error":   {Level: slog.LevelError},
		"info,text,, ": {Level: slog.LevelInfo},
	} {
		if got, err := settings.ParseLog("LOG", text, slog.LevelWarn); got != want || err != nil {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if _, err := settings.ParseLog("LOG", "loud", 0); err == nil || err.Error() != `LOG="loud": expected text or json, and debug, info, warn or error` {
		t.Errorf("got %v", err)
	}
	var b bytes.Buffer
	settings.Log{JSON: true, Level: slog.LevelWarn}.Logger(&b).Info("unseen")
	settings.Log{JSON: true}.Logger(&b).Info("seen")
	if got := b.String(); strings.Contains(got, "unseen") || !strings.Contains(got, `"msg":"seen"`) {
		t.Errorf("logged %s", got)
	}
}
