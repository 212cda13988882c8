package forgesim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// deployment is a deployment of a commit to an environment.
type deployment struct {
	id                                           int64
	sha, ref, task, environment, description, by string
	payload                                      json.RawMessage
	transient, production                        bool
	at                                           time.Time
	states                                       []*deploymentState
}

// deploymentState is a status of a deployment.
type deploymentState struct {
	id                                                       int64
	state, description, environment, environmentURL, log, by string
	at                                                       time.Time
}

func (d *deployment) state() string {
	if len(d.states) == 0 {
		return ""
	}
	return d.states[len(d.states)-1].state
}

func (s *Server) deploymentRoutes() []route {
	const all = "/repos/{owner}/{repo}/deployments"
	const one = all + "/{id}"
	return []route{
		{pattern: "GET " + all, needs: "deployments:read", run: s.listDeployments},
		{pattern: "POST " + all, needs: "deployments:write", run: s.createDeployment},
		{pattern: "GET " + one, needs: "deployments:read", run: s.showDeployment},
		{pattern: "DELETE " + one, needs: "deployments:write", run: s.deleteDeployment},
		{pattern: "GET " + one + "/statuses", needs: "deployments:read", run: s.listDeploymentStates},
		{pattern: "POST " + one + "/statuses", needs: "deployments:write", run: s.createDeploymentState},
	}
}

func (c *call) deployment() *deployment {
	for _, d := range c.repo.deployments {
		if d.id == c.number("id") {
			return d
		}
	}
	return nil
}

func (s *Server) deploymentView(r *repo, d *deployment) obj {
	at := fmt.Sprintf("%s/repos/%s/deployments/%d", s.base, r.full(), d.id)
	payload := d.payload
	if len(payload) == 0 {
		payload = json.RawMessage(`{}`)
	}
	return obj{
		"id": d.id, "sha": d.sha, "ref": d.ref, "task": d.task, "environment": d.environment, "original_environment": d.environment,
		"description": d.description, "payload": payload, "creator": s.userView(d.by), "created_at": d.at, "updated_at": d.at,
		"transient_environment": d.transient, "production_environment": d.production, "url": at, "statuses_url": at + "/statuses",
		"repository_url": s.base + "/repos/" + r.full(),
	}
}

func (s *Server) listDeployments(c *call) answer {
	q := c.r.URL.Query()
	list := []obj{}
	for _, d := range slices.Backward(c.repo.deployments) {
		fits := true
		for key, has := range map[string]string{"sha": d.sha, "ref": d.ref, "task": d.task, "environment": d.environment} {
			if want := q.Get(key); want != "" && want != "none" && want != has {
				fits = false
			}
		}
		if fits {
			list = append(list, s.deploymentView(c.repo, d))
		}
	}
	return paged(s, c, list)
}

func (s *Server) createDeployment(c *call) answer {
	var in struct {
		Ref                   string          `json:"ref"`
		Task                  string          `json:"task"`
		AutoMerge             *bool           `json:"auto_merge"`
		RequiredContexts      *[]string       `json:"required_contexts"`
		Payload               json.RawMessage `json:"payload"`
		Environment           string          `json:"environment"`
		Description           string          `json:"description"`
		TransientEnvironment  bool            `json:"transient_environment"`
		ProductionEnvironment *bool           `json:"production_environment"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	sha := s.commit(c.repo, in.Ref)
	if in.Ref == "" || sha == "" {
		return answer{status: http.StatusUnprocessableEntity, body: obj{"message": "No ref found for: " + in.Ref, "documentation_url": docs}}
	}
	if why := c.repo.ungreen(sha, in.RequiredContexts); why != "" {
		return answer{status: http.StatusConflict, body: obj{"message": "Conflict: " + why, "documentation_url": docs}}
	}
	environment := cmp.Or(in.Environment, "production")
	production := environment == "production"
	if in.ProductionEnvironment != nil {
		production = *in.ProductionEnvironment
	}
	d := &deployment{
		id: s.id(), sha: sha, ref: in.Ref, task: cmp.Or(in.Task, "deploy"), environment: environment, description: in.Description, by: c.who.login,
		payload: in.Payload, transient: in.TransientEnvironment, production: production, at: s.now(),
	}
	c.repo.deployments = append(c.repo.deployments, d)
	return created(s.deploymentView(c.repo, d))
}

// ungreen says which statuses keep a deployment from being made: those that are required, and without a list all
// that there are.
func (r *repo) ungreen(sha string, required *[]string) string {
	latest := r.latest(sha)
	if required == nil {
		if len(latest) > 0 && r.combined(sha) != "success" {
			return "Commit status checks failed for " + sha + "."
		}
		return ""
	}
	for _, want := range *required {
		if !slices.ContainsFunc(latest, func(t *status) bool { return t.context == want && t.state == "success" }) {
			return "Commit status checks failed for " + sha + "."
		}
	}
	return ""
}

func (s *Server) showDeployment(c *call) answer {
	d := c.deployment()
	if d == nil {
		return notFound()
	}
	return ok(s.deploymentView(c.repo, d))
}

func (s *Server) deleteDeployment(c *call) answer {
	d := c.deployment()
	switch {
	case d == nil:
		return notFound()
	case d.state() == "success" && len(c.repo.deployments) > 1:
		return invalid("Deployment", "", "We cannot delete an active deployment unless it is the only deployment in a given environment.")
	}
	c.repo.deployments = slices.DeleteFunc(c.repo.deployments, func(o *deployment) bool { return o == d })
	return empty()
}

func (s *Server) deploymentStateView(r *repo, d *deployment, t *deploymentState) obj {
	at := fmt.Sprintf("%s/repos/%s/deployments/%d", s.base, r.full(), d.id)
	return obj{
		"id": t.id, "state": t.state, "description": t.description, "environment": t.environment, "environment_url": t.environmentURL,
		"log_url": t.log, "target_url": t.log, "creator": s.userView(t.by), "created_at": t.at, "updated_at": t.at,
		"deployment_url": at, "url": fmt.Sprintf("%s/statuses/%d", at, t.id), "repository_url": s.base + "/repos/" + r.full(),
	}
}

func (s *Server) listDeploymentStates(c *call) answer {
	d := c.deployment()
	if d == nil {
		return notFound()
	}
	list := []obj{}
	for _, t := range slices.Backward(d.states) {
		list = append(list, s.deploymentStateView(c.repo, d, t))
	}
	return paged(s, c, list)
}

func (s *Server) createDeploymentState(c *call) answer {
	d := c.deployment()
	if d == nil {
		return notFound()
	}
	var in struct {
		State          string `json:"state"`
		TargetURL      string `json:"target_url"`
		LogURL         string `json:"log_url"`
		Description    string `json:"description"`
		Environment    string `json:"environment"`
		EnvironmentURL string `json:"environment_url"`
		AutoInactive   *bool  `json:"auto_inactive"`
	}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if !slices.Contains([]string{"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}, in.State) {
		return invalid("DeploymentStatus", "state", "state is not included in the list")
	}
	if len(in.Description) > maxDescription {
		return invalid("DeploymentStatus", "description", "description is too long (maximum is 140 characters)")
	}
	t := &deploymentState{
		id: s.id(), state: in.State, description: in.Description, environment: cmp.Or(in.Environment, d.environment), environmentURL: in.EnvironmentURL,
		log: cmp.Or(in.LogURL, in.TargetURL), by: c.who.login, at: s.now(),
	}
	d.states = append(d.states, t)
	if in.State == "success" && (in.AutoInactive == nil || *in.AutoInactive) {
		s.retire(c.repo, d, t)
	}
	return created(s.deploymentStateView(c.repo, d, t))
}

// retire makes the older successful deployments of an environment inactive.
func (s *Server) retire(r *repo, d *deployment, t *deploymentState) {
	for _, old := range r.deployments {
		if old != d && old.id < d.id && old.environment == t.environment && !old.transient && old.state() == "success" {
			old.states = append(old.states, &deploymentState{id: s.id(), state: "inactive", environment: old.environment, by: t.by, at: s.now()})
		}
	}
}
