package install

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gigurra/flycd/shared/fly"
	"github.com/gigurra/flycd/shared/manifest"
)

// token is one of the two tokens of Fly that the dispatcher has.
type token string

const (
	// launchToken is a deploy token of the runner's app: it makes runner machines.
	launchToken token = "launch"
	// mintToken is the organisation's: each job gets a narrowed copy.
	mintToken token = "mint"
)

// The secrets that the installation makes.
//
//nolint:gosec // names of secrets
const (
	secretRedis    = "REDIS_URL"
	secretHook     = "FLYCD_WEBHOOK_SECRET"
	secretHook2    = "FLYCD_WEBHOOK_SECRET_2"
	secretNext     = "FLYCD_NEXT_TOKEN"
	secretDispatch = "FLYCD_DISPATCH_TOKENS"
	secretLaunch   = "FLY_API_TOKEN"
	secretMint     = "FLYCD_MINT_TOKEN"
	secretDigest   = "FLYCD_DIGEST_KEY"
)

type nameSet []string

func (s nameSet) has(name string) bool { return slices.Contains(s, name) }

func ownSecrets() nameSet {
	return nameSet{secretRedis, secretHook, secretHook2, secretNext, secretDispatch, secretLaunch, secretMint, secretDigest}
}

func slotSecret(slot int) string {
	if slot == 2 {
		return secretHook2
	}
	return secretHook
}

// secretNeeds says which secrets of the two apps are to be set, and why. Values that nobody has yet are not looked at.
type secretNeeds struct {
	dispatcher, runner map[string]string
	// tokens are to be made.
	tokens bool
	// marks are those of the given values.
	marks map[string]string
}

// decideSecrets compares the secrets with what the machines vouch for. Webhook secrets are decided with the hooks.
func decideSecrets(w Want, s State, now time.Time) secretNeeds {
	n := secretNeeds{dispatcher: map[string]string{}, runner: map[string]string{}, marks: s.marks}
	if why := tokensDue(w, s, now); why != "" {
		n.tokens = true
		n.dispatcher[secretLaunch], n.dispatcher[secretMint] = why, why
	}
	for _, name := range []string{secretNext, secretRedis} {
		why := lacks(s.Dispatcher, name)
		if why == "" {
			why = lacksName(s.Runner, name)
		}
		if why == "" && s.memory.notes.Runner != sealed(s.Runner.Secrets, secretNext, secretRedis) {
			why = "it is not the runner's any more"
		}
		if why == "" && name == secretRedis && n.marks[name] != "" && n.marks[name] != s.memory.notes.Given[name] {
			why = "its address is another one"
		}
		n.both(name, why)
	}
	n.want(n.dispatcher, secretDispatch, lacksName(s.Dispatcher, secretDispatch))
	n.want(n.runner, secretDigest, lacksName(s.Runner, secretDigest))
	for name := range w.Dispatcher {
		n.want(n.dispatcher, name, n.given(s.memory, s.Dispatcher, name, name))
	}
	for name := range w.Runner {
		n.want(n.runner, name, n.given(s.memory, s.Runner, runnerPrefix+name, name))
	}
	return n
}

const runnerPrefix = "runner/"

// marksOf marks the values that are known now.
func marksOf(w Want, s State) (map[string]string, error) {
	given, marks := givenValues(w, s), map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		m, err := mark(w.App, name, given[name], name == secretRedis && w.RedisURL.IsZero())
		if err != nil {
			return nil, err
		}
		marks[name] = m
	}
	return marks, nil
}

// givenValues are the values that are known now, by the name of their mark.
func givenValues(w Want, s State) map[string]manifest.Secret {
	all := maps.Clone(w.Dispatcher)
	if all == nil {
		all = map[string]manifest.Secret{}
	}
	for name, v := range w.Runner {
		all[runnerPrefix+name] = v
	}
	switch {
	case !w.RedisURL.IsZero():
		all[secretRedis] = w.RedisURL
	case s.Redis.Found && !s.Redis.URL.IsZero():
		all[secretRedis] = s.Redis.URL
	}
	return all
}

func (n secretNeeds) want(of map[string]string, name, why string) {
	if why != "" {
		of[name] = why
	}
}

func (n secretNeeds) both(name, why string) {
	n.want(n.dispatcher, name, why)
	n.want(n.runner, name, why)
}

// given tells whether a value that was given is another one than the app has.
func (n secretNeeds) given(m memory, a AppState, marked, name string) string {
	if why := lacksName(a, name); why != "" {
		return why
	}
	if m.notes.Given[marked] != n.marks[marked] {
		return "its value is another one"
	}
	return ""
}

func lacksName(a AppState, name string) string {
	if _, there := a.Secrets[name]; !there {
		return "it is missing"
	}
	return ""
}

// lacks is lacksName for a secret that is worth nothing unless the machines have it.
func lacks(a AppState, name string) string {
	if why := lacksName(a, name); why != "" {
		return why
	}
	if !a.vouched(name) {
		return "no machine has it yet"
	}
	return ""
}

// tokensDue says why new tokens are to be made, if they are.
func tokensDue(w Want, s State, now time.Time) string {
	for _, name := range []string{secretLaunch, secretMint} {
		if why := lacks(s.Dispatcher, name); why != "" {
			return why
		}
	}
	for _, t := range []token{launchToken, mintToken} {
		id := s.memory.notes.Tokens[t]
		if !slices.ContainsFunc(s.Tokens, func(i fly.TokenInfo) bool { return i.ID == id }) {
			return "it was revoked"
		}
	}
	switch left := s.memory.expire.Sub(now); {
	case w.RotateTokens:
		return "asked for"
	case left < renewBefore:
		return fmt.Sprintf("it expires on %s", s.memory.expire.Format(time.DateOnly))
	}
	return ""
}
