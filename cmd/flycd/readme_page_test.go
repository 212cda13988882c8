//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/shlex"
)

// page is a README whose sh blocks are run as its reader would, one after the other in one folder. Variables and the
// folder go from block to block; everything else of the reader's is in env.
type page struct {
	t *testing.T
	// file is below the root of the repository.
	file string
	// dir is where the first block starts, state where the blocks keep what the next one needs.
	dir, state string
	env        []string
	// fill says what stands for something of the reader's: a repository, an address, an id. It is asked before each block.
	fill func(block string) string
}

func newPage(t *testing.T, file string, env []string) *page {
	t.Helper()
	p := &page{t: t, file: file, dir: t.TempDir(), state: t.TempDir(), env: env, fill: func(s string) string { return s }}
	p.write("prelude", prelude)
	p.write("dir", p.dir)
	return p
}

func (p *page) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.state, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// noted are the lines that blocks wrote into a file of the state: which commands of flycd were run, what was said to
// programs that are only listed.
func (p *page) noted(name string) []string {
	text, _ := os.ReadFile(filepath.Join(p.state, name))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")[:bytes.Count(text, []byte("\n"))]
}

// prelude makes the programs that a test may not, or need not, run: they are listed with what was said to them, and what is not
// known of them fails. flycd is run, and ends with 0, or with 10 where it tells of changes.
const prelude = `
set -eua
list() { echo "$*" >>"$STATE/listed"; }
unknown() { echo "this test does not know: $*" >&2; return 64; }
flycd() {
	echo "$*" >>"$STATE/ran"
	case $1 in install | upgrade) set -- "$@" ${RELEASE-} ;; esac
	code=0
	command flycd "$@" || code=$?
	case $code in
	0 | 10) ;;
	*) echo "flycd $*: exit code $code" >&2; return $code ;;
	esac
}
go() {
	case "$1 $2" in
	"run ./cmd/flycd") shift 2; flycd "$@" ;;
	"install github.com/gigurra/flycd/cmd/flycd@latest") list go "$@" ;;
	*) unknown go "$@" ;;
	esac
}
fly() {
	list fly "$@"
	case "$1 $2" in
	"auth login" | "secrets set") ;;
	*) unknown fly "$@" ;;
	esac
}
redis_cli() {
	if command -v redis-cli >/dev/null; then command redis-cli -e -u "$REDIS_URL" "$@"; else list redis-cli "$@"; fi
}
`

// programs are those that a block may start: run as they are, or made by the prelude.
func programs() []string {
	return []string{"flycd", "go", "fly", "redis-cli", "git", "cd", "cp", "perl", "sed", "export", "echo", "openssl", "curl"}
}

// blocks are the sh blocks of a page.
func (p *page) blocks() (list []string) {
	text, err := os.ReadFile(filepath.Join("..", "..", p.file))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllSubmatch(text, -1) {
		list = append(list, string(found[1]))
	}
	return list
}

// run runs one block, and holds it to having run each of its commands.
func (p *page) run(block string) {
	p.t.Helper()
	before, want := len(p.noted("ran")), 0
	for _, words := range commandsOf(block) {
		if !slices.Contains(programs(), words[0]) {
			p.t.Errorf("%s: this test does not know the command %q", p.file, strings.Join(words, " "))
		}
		if words[0] == "flycd" || words[0] == "go" && words[1] == "run" {
			want++
		}
	}
	script := `. "$STATE/prelude"; [ ! -e "$STATE/env" ] || . "$STATE/env"; cd "$(cat "$STATE/dir")"` + "\n" +
		strings.ReplaceAll(p.fill(block), "redis-cli", "redis_cli") + "\n" + `export -p >"$STATE/env"; pwd >"$STATE/dir"`
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.WaitDelay = time.Second
	cmd.Env, cmd.Dir = append([]string{"STATE=" + p.state, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + p.t.TempDir()}, p.env...), p.dir
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s\n%s", p.file, err, block, said)
	}
	for _, noise := range []string{"panic:", "goroutine ", "%!", "<nil>"} {
		if strings.Contains(said, noise) {
			p.t.Errorf("%s: it says %q: %s", p.file, noise, said)
		}
	}
	if got := len(p.noted("ran")) - before; got != want {
		p.t.Errorf("%s: %d commands of flycd were run, want %d:\n%s", p.file, got, want, block)
	}
	p.write("said", said)
}

// said is what the last block printed.
func (p *page) said() string {
	text, _ := os.ReadFile(filepath.Join(p.state, "said"))
	return string(text)
}

// commandsOf gives the commands of a block, in words, those of command substitutions by their first word alone. Assignments
// before a command are no part of it.
func commandsOf(block string) (list [][]string) {
	block = strings.ReplaceAll(block, "\\\n", " ")
	for line := range strings.Lines(block) {
		for _, part := range parted(line) {
			inner := regexp.MustCompile(`\$\(([\w-]+)[^)]*\)`)
			words, err := shlex.Split(inner.ReplaceAllString(part, "-"))
			if err != nil {
				list = append(list, []string{fmt.Sprintf("(%v)", err), part})
				continue
			}
			for len(words) > 0 && regexp.MustCompile(`^\w+=`).MatchString(words[0]) {
				words = words[1:]
			}
			if len(words) > 0 {
				list = append(list, words)
			}
			for _, found := range inner.FindAllStringSubmatch(part, -1) {
				list = append(list, []string{found[1]})
			}
		}
	}
	return list
}

// parted cuts a line at what separates commands, outside of quotes and comments.
func parted(line string) (parts []string) {
	var quote rune
	from := 0
	last := ' '
	for i, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '#' && (last == ' ' || last == '\t'):
			return append(parts, line[from:i])
		case r == ';' || r == '|' || r == '&':
			parts = append(parts, line[from:i])
			from = i + 1
		}
		last = r
	}
	return append(parts, line[from:])
}

func TestCommandsOfABlock(t *testing.T) {
	t.Parallel()
	for block, want := range map[string]string{
		"flycd plan .   # what; would change\n":        "flycd plan .",
		"a 'b; c' && d \\\n  e; f | g\n":               "a b; c|d e|f|g",
		"X=$(openssl rand -hex 32)\n":                  "openssl",
		"A=1 B=2 flycd jobs; flycd logs -f ID\n\n# \n": "flycd jobs|flycd logs -f ID",
	} {
		var got []string
		for _, words := range commandsOf(block) {
			got = append(got, strings.Join(words, " "))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q: %q, want %q", block, got, want)
		}
	}
}

// settled is an environment that lets a page's commands find nothing of the person who runs the tests.
func settled(t *testing.T, more map[string]string) (env []string) {
	t.Helper()
	home := t.TempDir()
	all := map[string]string{
		"HOME": home, "FLY_CONFIG_DIR": home, "GIT_CONFIG_GLOBAL": filepath.Join(home, "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
		"GOTELEMETRY": "off", "NO_COLOR": "1", "FLYCD_SMOKE": "40ms", "FLYCD_BUILDER": "fact",
	}
	config := "[user]\n\tname = Ann\n\temail = ann@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
	if err := os.WriteFile(filepath.Join(home, "gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	maps.Copy(all, more)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// needs skips what needs a program that is not installed, unless nothing may be skipped.
func needs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("FLYCD_TEST_REQUIRE") == "all" {
			t.Fatal(name + " is not installed")
		}
		t.Skip(name + " is not installed")
	}
}
