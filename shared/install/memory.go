package install

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/plan"
)

// The variables of the dispatcher's environment. The last three are the installation's own memory.
const (
	envRunnerApp    = "FLYCD_RUNNER_APP"
	envRunnerImage  = "FLYCD_RUNNER_IMAGE"
	envRunnerRegion = "FLYCD_RUNNER_REGION"
	envRunnerSize   = "FLYCD_RUNNER_SIZE"
	envRoots        = "FLYCD_CONFIG_REPOS"
	envNext         = "FLYCD_NEXT_URL"
	envGrant        = "FLYCD_GRANT_URL"
	envMachines     = "FLY_FLAPS_BASE_URL"
	envExpire       = "FLYCD_TOKENS_EXPIRE"
	envKeys         = "FLYCD_WEBHOOK_KEYS"
	envInstalled    = "FLYCD_INSTALLED"
)

// memory is what the dispatcher's machine says of how it was installed.
type memory struct {
	// keys are the webhook secrets, newest first.
	keys   []slotKey
	expire time.Time
	notes  notes
	env    map[string]string
	// extra are the variables that are not the installation's own.
	extra    map[string]string
	region   string
	alwaysOn bool
}

// slotKey is a webhook secret: the slot that it is in, and the key that tells it at the end of a hook's address.
type slotKey struct {
	slot int
	key  string
}

// notes are what FLYCD_INSTALLED holds.
type notes struct {
	// Tokens are the ids of the tokens in use.
	Tokens map[token]string `json:"tokens,omitempty"`
	// Given are marks of the values that were given, by the secret's name; those of the runner's begin with runner/.
	Given map[string]string `json:"given,omitempty"`
	// Runner is a mark of the runner's secrets that have to agree with the dispatcher's.
	Runner string `json:"runner,omitempty"`
	// Env are the names of the variables that are not the installation's own.
	Env []string `json:"env,omitempty"`
	// Elsewhere is true where the Redis is not the installation's.
	Elsewhere bool `json:"elsewhere,omitempty"`
}

func (m memory) known() bool { return m.env != nil }

// newest is the webhook secret that hooks should have; a slot of zero where there is none.
func (m memory) newest() slotKey {
	if len(m.keys) == 0 {
		return slotKey{}
	}
	return m.keys[0]
}

// recall reads the memory of the newest machine that has one.
func recall(machines []plan.Machine) memory {
	var m memory
	newest := -1
	for _, one := range machines {
		if one.Config == nil || one.Config.Env[envInstalled] == "" || releaseOf(one) <= newest && m.known() {
			continue
		}
		newest = releaseOf(one)
		m = remembered(one)
	}
	return m
}

func remembered(one plan.Machine) memory {
	m := memory{env: one.Config.Env, region: one.Region, extra: map[string]string{}}
	for field := range strings.SplitSeq(m.env[envKeys], ",") {
		slot, key, ok := strings.Cut(field, "=")
		if n, err := strconv.Atoi(slot); ok && err == nil && n >= 1 && n <= 2 {
			m.keys = append(m.keys, slotKey{n, key})
		}
	}
	if at, err := time.Parse(time.RFC3339, m.env[envExpire]); err == nil {
		m.expire = at
	}
	if json.Unmarshal([]byte(m.env[envInstalled]), &m.notes) != nil {
		m.notes = notes{} // all is made anew
	}
	for _, name := range m.notes.Env {
		m.extra[name] = m.env[name]
	}
	for _, service := range one.Config.Services {
		m.alwaysOn = m.alwaysOn || service.MinMachinesRunning != nil && *service.MinMachinesRunning > 0
	}
	return m
}

// variables are the memory's part of the dispatcher's environment.
func (m memory) variables() (map[string]string, error) {
	text, err := json.Marshal(m.notes)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", envInstalled, err)
	}
	keys := make([]string, len(m.keys))
	for i, k := range m.keys {
		keys[i] = k.String()
	}
	return map[string]string{envExpire: m.expire.UTC().Format(time.RFC3339), envKeys: strings.Join(keys, ","), envInstalled: string(text)}, nil
}

const (
	// markRounds make guessing a weak password from its mark as slow as it is from the best of password files.
	markRounds = 600_000
	markBytes  = 8
)

// mark tells one value from another, and nothing else: it is slow to make, and cut. What Fly chose at random need not be slow.
func mark(app, name string, value manifest.Secret, random bool) (string, error) {
	rounds := markRounds
	if random {
		rounds = 1
	}
	sum, err := pbkdf2.Key(sha256.New, value.Reveal(), []byte("flycd install "+app+" "+name), rounds, markBytes)
	if err != nil {
		return "", fmt.Errorf("mark secret %s: %w", name, err)
	}
	return hex.EncodeToString(sum), nil
}

// sealed is a mark of the digests that Fly shows for some secrets.
func sealed(digests map[string]string, names ...string) string {
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s=%s\n", name, digests[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:markBytes])
}

// clone keeps a decision from changing what was observed.
func (m memory) clone() memory {
	m.keys = slices.Clone(m.keys)
	m.notes.Tokens, m.notes.Given = maps.Clone(m.notes.Tokens), maps.Clone(m.notes.Given)
	if m.notes.Tokens == nil {
		m.notes.Tokens = map[token]string{}
	}
	if m.notes.Given == nil {
		m.notes.Given = map[string]string{}
	}
	return m
}

// withKey makes k the newest secret, in place of what was in its slot.
func (m memory) withKey(k slotKey) memory {
	rest := slices.DeleteFunc(slices.Clone(m.keys), func(old slotKey) bool { return old.slot == k.slot })
	m.keys = append([]slotKey{k}, rest...)
	return m
}

// free is the slot for a new secret: the one that is not the newest's.
func (m memory) free() int {
	if m.newest().slot == 1 {
		return 2
	}
	return 1
}
