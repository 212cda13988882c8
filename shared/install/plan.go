package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/fly"
)

// Step is one thing of an installation.
type Step struct {
	// Name is what it is about: app my-flycd, webhook of REPO.
	Name string `json:"name"`
	// Why says why there is something to do; empty where there is not.
	Why string `json:"why,omitempty"`
	// Command is how a person does the same.
	Command string `json:"command,omitempty"`
	// Done reports that it is as it should be.
	Done bool `json:"done"`
	// Manual is true of what only a person can do.
	Manual bool `json:"manual,omitempty"`

	do     action
	part   Part
	hook   hookMove
	token  fly.TokenInfo
	slots  []int
	target string
}

// action says what Apply does for a step.
type action int

const (
	nothing action = iota
	ensureApp
	ensureRedis
	sendImage
	putRunner
	makeTokens
	deployDispatcher
	setHook
	dropSlots
	revokeToken
	firstSync
	removeHook
	removeApp
	removeRedis
)

// Plan is what an installation, or its removal, comes to. The zero value does nothing.
type Plan struct {
	// Want is complete.
	Want Want `json:"-"`
	// Steps are in the order in which they are done.
	Steps []Step `json:"steps"`
	// Warnings are for people.
	Warnings []string `json:"warnings,omitempty"`

	state State
	needs secretNeeds
	hooks hookNeeds
}

// Empty reports that there is nothing to do but what only a person can do.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Steps, func(s Step) bool { return !s.Done && !s.Manual })
}

// Plan looks, and says what is to be done. It changes nothing outside this machine.
func (in *Installer) Plan(ctx context.Context, want Want) (Plan, error) {
	in = in.ready()
	want, s, err := in.Look(ctx, want)
	if err != nil {
		return Plan{}, err
	}
	s.Images = map[Part]Image{}
	for _, part := range []Part{Dispatcher, Runner} {
		if s.Images[part], err = in.Images.Find(ctx, part, in.repository(want.appOf(part))); err != nil {
			return Plan{}, fmt.Errorf("find the %s's image: %w", part, err)
		}
	}
	if s.marks, err = marksOf(want, s); err != nil {
		return Plan{}, err
	}
	p := Decide(want, s, in.Now())
	if p.redeploys() {
		return p, nil
	}
	if s.changes, err = in.wouldChange(ctx, p); err != nil {
		return Plan{}, err
	}
	return Decide(want, s, in.Now()), nil
}

// Decide compares what is wanted with what there is. It is pure.
func Decide(w Want, s State, now time.Time) Plan {
	p := Plan{Want: w, state: s, hooks: decideHooks(w, s), needs: decideSecrets(w, s, now)}
	if p.hooks.fresh {
		p.needs.dispatcher[slotSecret(p.hooks.slot)] = p.hooks.why
	}
	p.apps()
	p.redis()
	p.images()
	p.secrets()
	p.dispatcher()
	p.webhooks()
	p.endings()
	p.sync()
	return p
}

// redeploys reports that the dispatcher has to be deployed, whatever its manifest says.
func (p Plan) redeploys() bool {
	return len(p.needs.dispatcher) > 0 || len(p.state.Dispatcher.Machines) == 0 || !p.state.memory.known()
}

func (p *Plan) add(s Step) {
	s.Done = s.Why == "" && !s.Manual
	p.Steps = append(p.Steps, s)
}

func (p *Plan) apps() {
	for _, part := range []Part{Dispatcher, Runner} {
		name, exists := p.Want.appOf(part), p.state.Dispatcher.Exists
		if part == Runner {
			exists = p.state.Runner.Exists
		}
		s := Step{Name: "app " + name, do: ensureApp, part: part, Command: fmt.Sprintf("fly apps create %s --org %s", name, p.Want.Org)}
		if !exists {
			s.Why = fmt.Sprintf("the %s has no app", part)
		}
		p.add(s)
	}
}

// elsewhere reports that the queue is not the installation's own.
func (p Plan) elsewhere() bool {
	return !p.Want.RedisURL.IsZero() || p.state.memory.notes.Elsewhere && !p.state.Redis.Found
}

func (p *Plan) redis() {
	if p.elsewhere() {
		p.add(Step{Name: "redis that is run elsewhere"})
		return
	}
	s := Step{
		Name: "redis " + p.Want.Redis, do: ensureRedis,
		Command: fmt.Sprintf("fly redis create --org %s --name %s --no-replicas --disable-eviction", p.Want.Org, p.Want.Redis),
	}
	if p.Want.Region != "" {
		s.Command += " --region " + p.Want.Region
	}
	switch {
	case !p.state.Redis.Found:
		s.Why = "the queue has none"
	case p.state.Redis.URL.IsZero():
		s.Why = "it is not ready yet"
	}
	p.add(s)
}

func (p *Plan) images() {
	for _, part := range []Part{Dispatcher, Runner} {
		img := p.state.Images[part]
		s := Step{Name: fmt.Sprintf("image of the %s %s", part, img.Ref), do: sendImage, part: part}
		if img.Ref == "" {
			s.Name = fmt.Sprintf("image of the %s", part)
		}
		s.Command = fmt.Sprintf("docker build -f Dockerfile.%s -t registry.fly.io/%s . && docker push registry.fly.io/%s", part, p.Want.appOf(part), p.Want.appOf(part))
		if !img.There {
			s.Why = "its registry does not have it"
		}
		for _, text := range img.Warnings {
			p.Warnings = append(p.Warnings, fmt.Sprintf("the %s's image has to do without %s", part, text))
		}
		p.add(s)
	}
}

func (p *Plan) secrets() {
	s := Step{Name: "tokens of Fly", do: makeTokens, Command: fmt.Sprintf(
		"NEXT=\"$(openssl rand -hex 32)\" SECRET=\"$(openssl rand -hex 32)\" LAUNCH=\"$(fly tokens create deploy -a %s -x %dh)\" MINT=\"$(fly tokens create org -o %s -x %dh)\"", p.Want.RunnerApp, int(tokenLife.Hours()), p.Want.Org, int(tokenLife.Hours()))}
	if p.needs.tokens {
		s.Why = p.needs.dispatcher[secretLaunch]
	}
	p.add(s)
	p.add(Step{
		Name: "secrets of " + p.Want.RunnerApp, do: putRunner, Why: reasons(p.needs.runner),
		Command: fmt.Sprintf("fly secrets set -a %s --stage %s", p.Want.RunnerApp, placeholders(p.needs.runner)),
	})
}

// reasons tells the names with why, those with one reason together.
func reasons(of map[string]string) string {
	byWhy := map[string][]string{}
	for name, why := range of {
		byWhy[why] = append(byWhy[why], name)
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(byWhy)) {
		slices.Sort(byWhy[why])
		all = append(all, fmt.Sprintf("%s: %s", strings.Join(byWhy[why], ", "), why))
	}
	return strings.Join(all, "; ")
}

// placeholders is how a person would make the values.
func placeholders(of map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		how := map[string]string{ //nolint:gosec // words that stand for values
			secretRedis: "redis://…", secretNext: "$NEXT", secretLaunch: "$LAUNCH", secretMint: "$MINT",
			secretDigest: `"$(openssl rand -hex 32)"`, secretHook: "$SECRET", secretHook2: "$SECRET", secretDispatch: `"$(openssl rand -hex 32)"`,
		}[name]
		if how == "" {
			how = "…"
		}
		all = append(all, name+"="+how)
	}
	return strings.Join(all, " ")
}

func (p *Plan) dispatcher() {
	s := Step{Name: "dispatcher " + p.Want.App, do: deployDispatcher, Why: reasons(p.needs.dispatcher), Command: fmt.Sprintf(
		"fly secrets set -a %s --stage %s && fly deploy -c fly.dispatcher.toml -a %s", p.Want.App, placeholders(p.needs.dispatcher), p.Want.App)}
	switch {
	case s.Why != "":
	case p.redeploys():
		s.Why = "it is not deployed"
	case len(p.needs.runner) > 0:
		s.Why = "the runner's secrets change"
	case len(p.state.changes) > 0:
		s.Why = strings.Join(p.state.changes, "; ")
	}
	p.add(s)
}

// Describe is the plan of an installation where there is nothing yet, with the command of each step: what a person would do
// by hand. It asks nobody.
func Describe(w Want, now time.Time) (Plan, error) {
	w, err := w.complete()
	if err != nil {
		return Plan{}, err
	}
	s := State{}
	for _, repo := range w.Repos {
		s.Repos = append(s.Repos, RepoState{Repo: repo, Out: errNoForge})
	}
	return Decide(w, s, now), nil
}
