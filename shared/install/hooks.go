package install

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gigurra/flycd/shared/forge"
)

// hookEvents are what the dispatcher wants to hear of.
func hookEvents() []string { return []string{"push", "pull_request", "issue_comment"} }

// hookNeeds says what is to become of the webhooks and their secrets.
type hookNeeds struct {
	// fresh reports that a new secret is made, for the slot.
	fresh bool
	why   string
	slot  int
	// move are the repositories whose hook is to be set, with the reason; manual those out of reach.
	move   []hookMove
	manual []RepoState
	// drop are the slots to be emptied once all hooks are where they should be.
	drop []int
}

// hookMove is a hook to be set.
type hookMove struct {
	RepoState
	why string
	// form reports that the hook has the right secret, and something else is wrong with it.
	form bool
}

// decideHooks compares the hooks with the keys of the secrets that the dispatcher has.
func decideHooks(w Want, s State) hookNeeds {
	n := hookNeeds{slot: s.memory.free()}
	valid := s.validKeys()
	used, judged := map[string]bool{}, []hookMove{}
	for _, r := range s.Repos {
		if r.Out != nil {
			n.manual = append(n.manual, r)
			continue
		}
		m := judge(r, w, valid)
		judged = append(judged, m)
		if m.why == "" || m.form {
			used[keyOf(r.Hooks[0])] = true
		} else {
			n.why = "a hook needs one"
		}
	}
	switch {
	case len(valid) == 0:
		n.why, n.slot = "there is none", 1
	case w.RotateWebhook:
		n.why = "asked for"
	case n.why == "" && len(used) > 0 && (len(used) > 1 || !used[s.memory.newest().key]):
		n.why = "hooks do not sign with the newest: a rotation was not finished"
	}
	if len(valid) > 0 && len(n.manual) == 0 {
		n.slot = s.unused(used)
	}
	n.fresh = n.why != ""
	for _, m := range judged {
		if n.fresh && m.why == "" {
			m.why = "it gets the new secret"
		}
		if m.why != "" {
			m.form = m.form && !n.fresh
			n.move = append(n.move, m)
		}
	}
	n.drop = dropped(s, n, used)
	return n
}

// dropped are the slots that hold a secret which no hook is known to need. While a repository is out of reach, none is.
func dropped(s State, n hookNeeds, used map[string]bool) (slots []int) {
	for slot := 1; slot <= 2; slot++ {
		if _, there := s.Dispatcher.Secrets[slotSecret(slot)]; !there || n.fresh && slot == n.slot {
			continue
		}
		i := slices.IndexFunc(s.memory.keys, func(k slotKey) bool { return k.slot == slot })
		switch {
		case i < 0: // it was begun and never used, or put there by a person: no hook of ours signs with it
			if s.memory.known() {
				slots = append(slots, slot)
			}
		case len(n.manual) > 0:
		case n.fresh, i > 0 && !used[s.memory.keys[i].key]:
			slots = append(slots, slot)
		}
	}
	return slots
}

// unused is the slot for a new secret while hooks sign with some key: one that none of them needs, where there is one.
func (s State) unused(used map[string]bool) int {
	if newest := s.memory.newest(); !used[newest.key] {
		return newest.slot
	}
	return s.memory.free()
}

// validKeys are the keys of the secrets that the dispatcher has.
func (s State) validKeys() []string {
	var keys []string
	for _, k := range s.memory.keys {
		if _, there := s.Dispatcher.Secrets[slotSecret(k.slot)]; there && len(s.Dispatcher.Machines) > 0 {
			keys = append(keys, k.key)
		}
	}
	return keys
}

func keyOf(h forge.HookState) string {
	_, key := splitKey(h.URL)
	return key
}

// judge says what is wrong with a repository's hook.
func judge(r RepoState, w Want, valid []string) hookMove {
	m := hookMove{RepoState: r}
	switch {
	case len(r.Hooks) == 0:
		m.why = "it is missing"
		return m
	case !slices.Contains(valid, keyOf(r.Hooks[0])):
		m.why = "it does not sign with a secret of this dispatcher"
		return m
	case r.Hooks[0].Last == http.StatusUnauthorized:
		m.why = "its last delivery was refused: its secret is another one"
		return m
	}
	h := r.Hooks[0]
	want := forge.Hook{URL: withKey(w.hookAddress(), keyOf(h)), Events: hookEvents()}
	switch {
	case len(r.Hooks) > 1:
		m.why, m.form = "there are two", true
	case !h.Right(want):
		m.why, m.form = "its events, its form or its state are other ones", true
	}
	return m
}

// outText says why a repository is out of reach.
func outText(err error) string {
	if errors.Is(err, errNoForge) {
		return err.Error()
	}
	return "the forge's token does not reach it: " + err.Error()
}
