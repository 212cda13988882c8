package forge

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
)

// over tells how a job ended: at its commit, in the repository's deployments, at its pull request, to people.
func (p *Post) over(m *mail, s story) error {
	err := p.status(m, s, Status{State: stateOf(s.outcome), Description: sentence(s)})
	if err == nil && s.Job.Kind == job.Deploy {
		err = p.deployment(m, s)
	}
	if err == nil && s.Job.Pull > 0 {
		err = p.comment(m, s)
	}
	if err == nil && s.Job.Kind != job.Plan {
		err = p.notices(m, s)
	}
	return err
}

func stateOf(o job.Outcome) string {
	switch {
	case o.Done():
		return "success"
	case o == job.Rejected || o == job.Failed:
		return "failure"
	default:
		return "error"
	}
}

// sentence words an outcome for a commit.
func sentence(s story) string {
	r := s.Result
	switch {
	case s.outcome == job.Superseded:
		return "a newer wish took its place"
	case !s.outcome.Done():
		return strings.TrimRight(string(s.outcome)+": "+r.Detail, ": ")
	case s.Job.Kind == job.Plan:
		return "the plan is in the comment"
	case s.Job.Kind == job.Sync:
		return fmt.Sprintf("read, and %d to do", len(r.Jobs))
	case s.outcome == job.Unchanged:
		return "unchanged: it runs as it should"
	case r.Release > 0:
		return fmt.Sprintf("%s: release %d", s.outcome, r.Release)
	default:
		return string(s.outcome)
	}
}

// status adds a commit's status where there is a commit of the forge's to show it.
func (p *Post) status(m *mail, s story, st Status) error {
	repo, commit := target(s)
	if commit == "" || !p.Forge.Known(repo) || !p.Forge.Ready() || p.silent(s, repo, commit) {
		return nil
	}
	// The job's id tells one run's status from the next one's.
	tail := " · " + string(s.Job.ID[:min(8, len(s.Job.ID))])
	st.Context, st.Target = contextOf(s.Job), p.address(s)
	st.Description = oneLine(st.Description, maxDescription-len(tail)) + tail
	return m.add("status:"+job.RepoKey(repo)+":"+subject(s.Job), s.kind("status"), letter{
		Repo: job.RepoKey(repo), Commit: commit, Status: new(st.still()), Settled: s.Job.Reason == job.BySweep,
	})
}

// silent tells whether a commit shows something better already: the wish that took this one's place is for the same
// commit, or nothing of a fan-out, whose apps speak for themselves, went wrong.
func (p *Post) silent(s story, repo, commit string) bool {
	switch {
	case s.outcome == job.Superseded && s.by != nil:
		byRepo, byCommit := target(story{Record: *s.by})
		return byCommit == commit && job.RepoKey(byRepo) == job.RepoKey(repo)
	case s.Job.Kind == job.Sync && s.Job.Config.Repo == "":
		return s.outcome.Done() || s.outcome == job.Superseded
	default:
		return s.Job.Kind == job.Sync && s.outcome == job.Superseded
	}
}

// target is the commit that a job was asked for, else, for what nobody's own folder went into, the one that was deployed.
func target(s story) (repo, commit string) {
	j, r := s.Job, s.Result
	tree := j.Config.Repo
	if tree == "" {
		tree = s.entry.Config.Repo
	}
	switch {
	case j.Kind == job.Plan && j.Pull == 0:
		return "", ""
	case j.Kind == job.Plan && fullCommit(j.Half.Commit):
		return tree, j.Half.Commit
	case fullCommit(j.Half.Commit):
		return j.Half.Repo, j.Half.Commit
	case j.Reason == job.ByDeploy || j.Kind == job.Destroy:
		return "", ""
	case s.entry.Source.Repo != "" && fullCommit(r.SourceCommit):
		return s.entry.Source.Repo, r.SourceCommit
	case fullCommit(r.ConfigCommit):
		return tree, r.ConfigCommit
	default:
		return "", ""
	}
}

// contextOf names a job's subject at a commit.
func contextOf(j job.Job) string {
	switch {
	case j.App != "":
		return "flycd/" + j.App
	case j.Kind == job.Plan:
		return "flycd/plan" + within(j.Config)
	default:
		return "flycd/sync" + within(j.Config)
	}
}

// within is what tells a tree from others of its repository.
func within(c job.Config) string { return strings.TrimPrefix(c.ID(), job.RepoKey(c.Repo)) }

// address is where more is told of a job: at the setting's address, else at the app's own.
func (p *Post) address(s story) string {
	if p.Link != "" {
		return link(p.Link, s.Job)
	}
	return s.Result.URL
}

// deployment adds what was deployed, or should have been, to the deployments of the repository that the app is made of.
// What was not deployed because it ran already, was refused or called off is none.
func (p *Post) deployment(m *mail, s story) error {
	states := map[job.Outcome]string{job.Created: "success", job.Updated: "success", job.Failed: "failure"}
	r := s.Result
	repo, commit := s.entry.Source.Repo, r.SourceCommit
	if repo == "" || !fullCommit(commit) {
		repo, commit = s.entry.Config.Repo, r.ConfigCommit
	}
	if states[s.outcome] == "" || !fullCommit(commit) || !p.Forge.Known(repo) || !p.Forge.Ready() || s.Job.Reason == job.ByDeploy {
		return nil
	}
	d := Deployment{
		Commit: commit, Mark: string(s.Job.ID) + "." + m.event.ID, Environment: environment(s.entry), State: states[s.outcome],
		Description: oneLine(sentence(s), maxDescription), URL: r.URL, Log: link(p.Link, s.Job),
	}
	return m.add("deployment:"+job.RepoKey(repo)+":"+s.Job.App, s.kind("deployment"), letter{Repo: job.RepoKey(repo), Deployment: &d})
}

// environment is the folder of the app's project, production where it has none, with the app's name: a repository may
// hold several apps, and a deployment takes the place of the one before it in the same environment.
func environment(e catalog.Entry) string {
	project := path.Dir(path.Clean("/" + e.Dir))[1:]
	if project == "" {
		project = "production"
	}
	return oneLine(project+"/"+e.App, maxEnvironment)
}

// comment adds the plan of a pull request, or why there is none.
func (p *Post) comment(m *mail, s story) error {
	j, text := s.Job, s.Result.Plan
	switch {
	case !p.Forge.Known(j.Config.Repo) || !p.Forge.Ready() || s.outcome == job.Superseded || s.outcome == job.Cancelled:
		return nil
	case !s.outcome.Done():
		text = "FlyCD could not plan this: " + codeSpan(oneLine(s.Result.Detail, 2000))
	case text == "":
		text = "FlyCD would change nothing."
	}
	if fullCommit(j.Half.Commit) {
		text += "\n\nOf commit " + j.Half.Commit + "."
	}
	repo := job.RepoKey(j.Config.Repo)
	return m.add(fmt.Sprintf("pull:%s:%d", repo, j.Pull), s.kind("comment"), letter{
		Repo: repo, Pull: j.Pull, Comment: &Comment{Subject: "plan of " + j.Config.ID(), Body: text},
	})
}

// notices adds what people asked to be told.
func (p *Post) notices(m *mail, s story) error {
	told := map[string]bool{}
	for _, n := range append(append([]catalog.Notify(nil), p.Notify...), s.entry.Notify...) {
		to := oneLine(n.To, 64)
		if told[to] || !asked(n.On, s.outcome) {
			continue
		}
		told[to] = true
		id := m.event.ID + "." + s.kind("notice")
		if err := m.add("notify:"+to, s.kind("notice")+"-"+strings.ReplaceAll(to, " ", "_"), letter{To: to, Notice: p.notice(id, s)}); err != nil {
			return err
		}
	}
	return nil
}

// asked tells whether a rule names the outcome.
func asked(on []string, o job.Outcome) bool {
	if len(on) == 0 {
		on = []string{"failure"}
	}
	for _, word := range on {
		switch {
		case word == string(o),
			word == "failure" && (o == job.Rejected || o == job.Failed),
			word == "success" && (o == job.Created || o == job.Updated):
			return true
		}
	}
	return false
}

func (p *Post) notice(id string, s story) *Notice {
	j, r := s.Job, s.Result
	n := &Notice{
		ID: id, Job: j.ID, Kind: j.Kind, App: j.App, Org: j.Org, Outcome: s.outcome, Detail: clip(still(r.Detail), 8<<10), Reason: j.Reason,
		Actor: oneLine(j.Actor, 100), ConfigCommit: r.ConfigCommit, SourceCommit: r.SourceCommit, Image: oneLine(r.Image, 500), Release: r.Release,
		URL: r.URL, Link: link(p.Link, j), Ended: s.Ended.UTC().Truncate(time.Millisecond),
	}
	if j.Config.Repo != "" {
		n.Tree = j.Config.ID()
	}
	for _, address := range []*string{&n.URL, &n.Link} {
		if !linkable(*address) {
			*address = ""
		}
	}
	return n
}
