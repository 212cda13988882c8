package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Keyring gives credentials for repositories: of the places that were named to it (a host, an owner, a repository) the
// longest that the repository is in decides, for tokens and for ssh keys each by itself. It is an Authenticator; the
// zero value knows none. What it holds is kept in memory and shown by no way of printing it. It must not be
// filled while it is used.
type Keyring struct {
	// behind a pointer, which printing does not follow
	*held
}

// held are credentials by place.
type held struct{ tokens, keys map[string]Credential }

// every is the place of an ssh key that is for all hosts.
const every = "*"

// Add makes a credential known for a place: HOST[:PORT], HOST/OWNER, HOST/OWNER/REPO, or a repository's URL. A later one for
// the same place replaces an earlier one.
func (k *Keyring) Add(at string, c Credential) error {
	place, err := placeOf(at)
	if err != nil {
		return err
	}
	if !c.SSHKey.IsZero() {
		if err := checkKey(c.SSHKey.Reveal()); err != nil {
			return fmt.Errorf("ssh key for %s: %w", place, err)
		}
		k.hold().keys[place] = Credential{SSHKey: c.SSHKey}
	}
	if !c.Password.IsZero() {
		k.hold().tokens[place] = Credential{Username: c.Username, Password: c.Password}
	}
	return nil
}

func (k *Keyring) hold() *held {
	if k.held == nil {
		k.held = &held{map[string]Credential{}, map[string]Credential{}}
	}
	return k.held
}

// AddTokens reads tokens for https: PLACE=TOKEN or PLACE=USER:TOKEN, separated by commas or on lines of their own, where a
// line that begins with # counts for nothing. The user may be left out for every forge that ignores it, as GitHub
// does. The error names the entry by its number and quotes none of it.
func (k *Keyring) AddTokens(text string) error {
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			n++
			if err := k.addToken(part); err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
		}
	}
	return nil
}

func (k *Keyring) addToken(part string) error {
	at, token, found := strings.Cut(part, "=")
	if !found || at == "" || token == "" {
		return errors.New("expected HOST[/OWNER[/REPO]]=TOKEN, such as github.com/acme=github_pat_…")
	}
	c := Credential{Password: manifest.NewSecret(token)}
	if user, password, has := strings.Cut(token, ":"); has {
		c = Credential{Username: user, Password: manifest.NewSecret(password)}
	}
	if c.Password.IsZero() {
		return errors.New("the token is empty: expected HOST[/OWNER[/REPO]]=USER:TOKEN")
	}
	return k.Add(at, c)
}

// AddKeys reads private keys for ssh, in PEM form and without passphrase. A key is for the place that stands on the line
// before it (HOST[/OWNER[/REPO]]), and without one for every host. Empty lines and lines that begin with # count for nothing.
// Where a setting can hold no line breaks, \n stands for them. The error names the key by its number and quotes none of it.
func (k *Keyring) AddKeys(text string) error {
	if !strings.Contains(strings.TrimSpace(text), "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	var at string
	var block []string
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "-----BEGIN ") || len(block) > 0:
			block = append(block, line)
			if !strings.HasPrefix(line, "-----END ") {
				continue
			}
			n++
			if err := k.addKey(at, strings.Join(block, "\n")+"\n"); err != nil {
				return fmt.Errorf("key %d: %w", n, err)
			}
			at, block = "", nil
		case line == "" || strings.HasPrefix(line, "#"):
		case at != "":
			return fmt.Errorf("key %d: after the line that says what it is for comes no key: expected -----BEGIN OPENSSH PRIVATE KEY-----", n+1)
		default:
			at = line
		}
	}
	if len(block) > 0 || at != "" {
		return fmt.Errorf("key %d is cut off: expected it to end with -----END OPENSSH PRIVATE KEY-----", n+1)
	}
	return nil
}

func (k *Keyring) addKey(at, pem string) error {
	if at != "" {
		if _, err := placeOf(at); err != nil {
			// what is no place may be a part of the key
			return errors.New("the line before it is none of HOST, HOST/OWNER and HOST/OWNER/REPO")
		}
		return k.Add(at, Credential{SSHKey: manifest.NewSecret(pem)})
	}
	if err := checkKey(pem); err != nil {
		return err
	}
	k.hold().keys[every] = Credential{SSHKey: manifest.NewSecret(pem)}
	return nil
}

// checkKey says what is wrong with a private key. The parser's own error may quote it.
func checkKey(pem string) error {
	_, err := ssh.ParseRawPrivateKey([]byte(pem))
	if missing := new(ssh.PassphraseMissingError); errors.As(err, &missing) {
		return errors.New("it has a passphrase, which nobody could enter: make a key without one (ssh-keygen -t ed25519 -N '')")
	}
	if err != nil {
		return errors.New("it cannot be read: expected a private key in PEM form without passphrase")
	}
	return nil
}

// placeOf normalizes a place to the host, with its port where one is named, and the path below it, all in lower case.
func placeOf(at string) (string, error) {
	wrong := job.Rejectf("expected HOST, HOST/OWNER, HOST/OWNER/REPO or the URL of a repository")
	at = strings.TrimSpace(at)
	if strings.Contains(at, "://") {
		r, err := parseRepo(at)
		if err != nil || r.scheme == "file" || !r.cred.isZero() {
			return "", wrong
		}
		return r.place(), nil
	}
	host, path, _ := strings.Cut(at, "/")
	r, err := parseRepo("https://" + host + "/" + strings.Trim(path, "/") + "/x")
	if err != nil || !r.cred.isZero() || strings.ContainsAny(at, "@*") {
		return "", wrong
	}
	r.path = strings.TrimSuffix(r.path, "/x")
	return r.place(), nil
}

// place is where a repository is, as the keyring writes it. The usual ports are not written.
func (r remote) place() string {
	host := strings.ToLower(r.host)
	if r.port != 0 && r.port != 443 && r.port != 22 {
		host = fmt.Sprintf("%s:%d", host, r.port)
	}
	path := strings.Trim(strings.ToLower(r.path), "/")
	path = strings.TrimSuffix(path, ".git")
	return strings.TrimSuffix(host+"/"+path, "/")
}

// Credential implements Authenticator: a token for https, also for http on this machine, and a key for ssh.
func (k *Keyring) Credential(_ context.Context, repo string) (Credential, error) {
	if k == nil || k.held == nil {
		return Credential{}, nil
	}
	r, err := parseRepo(repo)
	if err != nil {
		return Credential{}, err
	}
	switch {
	case r.scheme == "ssh":
		c, found := longest(k.keys, r)
		if !found {
			c = k.keys[every]
		}
		return c, nil
	case r.scheme == "https", r.scheme == "http" && !r.plain():
		c, _ := longest(k.tokens, r)
		return c, nil
	}
	return Credential{}, nil
}

// longest finds the credential of the longest place that the repository is in, with its port before any port.
func longest(known map[string]Credential, r remote) (Credential, bool) {
	anyPort := r
	anyPort.port = 0
	for _, place := range []string{r.place(), anyPort.place()} {
		for more := true; more; {
			if c, found := known[place]; found {
				return c, true
			}
			place, more = parent(place)
		}
	}
	return Credential{}, false
}

// parent is the place above; a host has none.
func parent(place string) (string, bool) {
	at := strings.LastIndex(place, "/")
	return place[:max(0, at)], at > 0
}

// Secrets are the texts that must not be seen anywhere: tokens, and the keys, whole and line by line, as a log would
// show them.
func (k *Keyring) Secrets() []string {
	if k == nil || k.held == nil {
		return nil
	}
	var out []string
	for _, place := range slices.Sorted(maps.Keys(k.tokens)) {
		out = append(out, k.tokens[place].Password.Reveal())
	}
	for _, place := range slices.Sorted(maps.Keys(k.keys)) {
		pem := k.keys[place].SSHKey.Reveal()
		out = append(out, pem)
		for line := range strings.Lines(pem) {
			line = strings.TrimSpace(line)
			// what the format begins with is the same in all keys
			if len(line) >= 16 && !strings.HasPrefix(line, "-----") && !strings.HasPrefix(line, "b3BlbnNzaC1rZXktdjE") {
				out = append(out, line)
			}
		}
	}
	return out
}

// Format never shows what it holds, whatever the verb.
func (k Keyring) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[keyring]") }

// LogValue never shows what it holds.
func (k Keyring) LogValue() slog.Value { return slog.StringValue("[keyring]") }
