package install

import (
	"fmt"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// webhooks are the steps for the repositories, those out of reach last.
func (p *Plan) webhooks() {
	moved := map[string]hookMove{}
	for _, m := range p.hooks.move {
		moved[m.Repo] = m
	}
	for _, r := range p.state.Repos {
		if r.Out != nil {
			continue
		}
		m := moved[r.Repo]
		p.add(Step{Name: "webhook of " + r.Repo, do: setHook, Why: m.why, hook: m, Command: p.hookCommand(r.Repo)})
	}
	for _, r := range p.hooks.manual {
		p.add(Step{Name: "webhook of " + r.Repo, Why: outText(r.Out), Manual: true, target: r.Repo, Command: p.hookCommand(r.Repo)})
	}
}

// hookCommand says what to enter.
func (p *Plan) hookCommand(repo string) string {
	address := p.Want.hookAddress()
	if key := p.state.memory.newest().key; key != "" && !p.hooks.fresh {
		address = withKey(address, key)
	}
	return fmt.Sprintf("in the settings of %s, under Webhooks: payload URL %s, content type application/json, the webhook secret, the events %s",
		repo, address, strings.Join(hookEvents(), ", "))
}

// endings take away what is no longer used.
func (p *Plan) endings() {
	if len(p.hooks.drop) > 0 {
		var names []string
		for _, slot := range p.hooks.drop {
			names = append(names, slotSecret(slot))
		}
		p.add(Step{
			Name: "old webhook secret", do: dropSlots, slots: p.hooks.drop, Why: "no hook signs with it any more",
			Command: fmt.Sprintf("fly secrets unset -a %s %s", p.Want.App, strings.Join(names, " ")),
		})
	}
	for _, t := range p.state.Tokens {
		inUse := !p.needs.tokens && (t.ID == p.state.memory.notes.Tokens[launchToken] || t.ID == p.state.memory.notes.Tokens[mintToken])
		if !inUse {
			p.add(Step{
				Name: fmt.Sprintf("old token %q", t.Name), do: revokeToken, token: t, Why: "nobody uses it", Command: "fly tokens revoke " + t.ID,
			})
		}
	}
}

// sync is the first sync of each config tree that is new. A new webhook makes its forge ping, and a ping is one.
func (p *Plan) sync() {
	for _, root := range p.Want.Roots {
		s := Step{Name: "first sync of " + rootText(root), do: firstSync, target: rootText(root), Command: "flycd sync " + rootText(root)}
		known := strings.Contains(","+p.state.memory.env[envRoots]+",", ","+rootText(root)+",")
		for _, m := range p.hooks.move {
			if job.RepoKey(m.Repo) == job.RepoKey(root.Repo) && len(m.Hooks) == 0 {
				s.Why, s.hook = "its webhook is new", m
			}
		}
		if s.Why == "" && !known {
			s.Why = "it is new"
			_, s.Manual = p.needs.dispatcher[secretDispatch]
			s.Manual = !s.Manual && !p.reaches(root.Repo)
		}
		if s.Why != "" || s.Manual {
			p.add(s)
		}
	}
}

// reaches reports whether the forge's token reaches the repository.
func (p *Plan) reaches(repo string) bool {
	for _, r := range p.state.Repos {
		if job.RepoKey(r.Repo) == job.RepoKey(repo) {
			return r.Out == nil
		}
	}
	return false
}
