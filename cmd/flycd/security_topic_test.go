package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEverySecretHasARow holds `flycd help security` to what the dispatcher and the runner are given: each setting that
// may come from a file, as secrets do, is named there.
func TestEverySecretHasARow(t *testing.T) {
	text := (&cli{}).securityTopic().Long
	secret := regexp.MustCompile(`env:"([A-Z0-9_]+)" file:"yes"`)
	found := 0
	for _, file := range []string{"../dispatcher/config.go", "../runner/config.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range secret.FindAllStringSubmatch(string(source), -1) {
			found++
			name := m[1]
			if name == "FLYCD_WEBHOOK_SECRET_2" {
				name = "FLYCD_WEBHOOK_SECRET, _2"
			}
			if public := name == "FLYCD_KNOWN_HOSTS"; !public && !strings.Contains(text, name) {
				t.Errorf("%s of %s has no row", name, file)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d secrets found: the settings are written in another way", found)
	}
	for _, one := range []string{"FLYCD_TICKET", "SOPS_AGE_KEY", "FLY_SSH_PRIVATE_KEY"} {
		if !strings.Contains(text, one) {
			t.Errorf("%s has no row", one)
		}
	}
	for i, line := range strings.Split(text, "\n") {
		if len([]rune(line)) > 120 {
			t.Errorf("line %d is longer than a screen: %s", i+1, line)
		}
	}
}
