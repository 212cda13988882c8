package machine_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryDifferenceIsShownByATest holds the table of differences from flyctl to tests that there are.
func TestEveryDifferenceIsShownByATest(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, room := range []string{"machine", "manifest", "plan", "fly"} {
		files, err := filepath.Glob("../" + room + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no tests: %v", room, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func Test(\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests[room+" "+m[1]] = true
			}
		}
	}
	shown := 0
	for line := range strings.Lines(string(doc)) {
		m := regexp.MustCompile(`^//\t.* ((?:machine|manifest|plan|fly) [A-Z]\w+),?$`).FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		shown++
		if !tests[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
	if shown < 20 {
		t.Errorf("only %d differences name a test", shown)
	}
}
