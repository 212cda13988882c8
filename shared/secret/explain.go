package secret

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// The exit codes of sops that say something.
const (
	exitTree  = 25  // a value that does not belong to its place
	exitMAC   = 51  // the checksum over all values is another
	exitNoMAC = 52  // it is missing
	exitNoKey = 128 // no key opens the file
)

// explain makes a sentence from the end of sops. Nothing that sops said is repeated but the public
// keys of the file.
func explain(code int, talk, format string, hasKeys bool) error {
	switch {
	case code < 0:
		return errors.New("sops was killed")
	case code == exitTree || code == exitMAC || code == exitNoMAC || strings.Contains(talk, "MAC mismatch"):
		return job.Rejectf("the file was changed after it was encrypted, or is damaged (its MAC does not match): take it from Git's history, or encrypt it anew with sops")
	case code == exitNoKey:
		return noKey(talk, hasKeys)
	case strings.Contains(talk, "metadata not found"):
		return job.Rejectf("the file is not encrypted by sops: run sops encrypt -i on it, and if it was pushed in the clear, replace the values, for others may know them")
	case strings.Contains(talk, "unmarshal") || strings.Contains(talk, "Error loading"):
		return job.Rejectf("the file is not what sops writes as %s, which is what its name's ending says (.yaml, .yml, .json, .env, .ini; all else is binary)", format)
	case strings.Contains(talk, "No help topic") || strings.Contains(talk, "flag provided but not defined"):
		return job.Rejectf("this sops is too old: expected 3.9 or newer")
	}
	return job.Rejectf("sops could not open the file (exit code %d): try sops decrypt on it where the keys are", code)
}

// noKey says which keys the file was encrypted for, and what is wrong with those that are there.
func noKey(talk string, hasKeys bool) error {
	wants := "other keys than age's and PGP's, which FlyCD does not support"
	if keys := recipients(talk); len(keys) > 0 {
		wants = strings.Join(keys, ", ")
	}
	const give = "give the runner its private key: SOPS_AGE_KEY for age, " + EnvPGP + " for PGP"
	flat := strings.Join(strings.Fields(strings.ReplaceAll(talk, "|", " ")), " ")
	switch {
	case strings.Contains(flat, "failed to parse 'SOPS_AGE_KEY"):
		return job.Rejectf("no key opens the file, because what SOPS_AGE_KEY (or SOPS_AGE_KEY_FILE) holds is no age key: expected AGE-SECRET-KEY-1…; the file is encrypted for %s", wants)
	case !hasKeys:
		return job.Rejectf("no key opens the file, because the runner has none: it is encrypted for %s; %s", wants, give)
	}
	return job.Rejectf("no key that the runner has opens the file: it is encrypted for %s; %s, or encrypt the file for the runner's key as well (sops updatekeys)", wants, give)
}

// publicKey is an age recipient, or the fingerprint of a PGP key.
var publicKey = regexp.MustCompile(`^(age1[0-9a-z]{10,}|[0-9A-Fa-f]{16,40})$`)

// recipients finds the public keys in what sops says of a file that it cannot open.
func recipients(talk string) []string {
	const most = 5
	var keys []string
	for line := range strings.Lines(talk) {
		key, ok := strings.CutSuffix(strings.TrimSpace(line), ": FAILED")
		if ok && publicKey.MatchString(key) && len(keys) < most && !slices.Contains(keys, clip(key)) {
			keys = append(keys, clip(key))
		}
	}
	return keys
}

// hasKeys tells whether sops was given any key at all.
func (p program) hasKeys() bool {
	if _, err := os.Stat(filepath.Join(p.dir, ringFile)); err == nil {
		return true
	}
	return slices.ContainsFunc(p.env, func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case "HOME", "GNUPGHOME":
			return value != p.dir
		}
		return strings.HasPrefix(name, "SOPS_AGE_") || name == "SOPS_KEYSERVICE"
	})
}
