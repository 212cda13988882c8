package forgesim

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// hook is a webhook of a repository.
type hook struct {
	id                                 int64
	repo                               *repo
	url, contentType, secret, insecure string
	events                             []string
	active                             bool
	created, updated                   time.Time
	lastCode                           int
	lastStatus, lastMessage            string
	deliveries                         []*delivery
}

// hookConfig is the config of a hook as it is sent. Numbers come as numbers or texts.
type hookConfig struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
	Secret      string `json:"secret"`
	InsecureSSL any    `json:"insecure_ssl"`
}

type hookInput struct {
	Name         string      `json:"name"`
	Config       *hookConfig `json:"config"`
	Events       []string    `json:"events"`
	AddEvents    []string    `json:"add_events"`
	RemoveEvents []string    `json:"remove_events"`
	Active       *bool       `json:"active"`
}

func (s *Server) hookRoutes() []route {
	const all = "/repos/{owner}/{repo}/hooks"
	const one = all + "/{id}"
	return []route{
		{pattern: "GET " + all, needs: "repository_hooks:read", run: s.listHooks},
		{pattern: "POST " + all, needs: "repository_hooks:write", run: s.createHook},
		{pattern: "GET " + one, needs: "repository_hooks:read", run: s.showHook},
		{pattern: "PATCH " + one, needs: "repository_hooks:write", run: s.editHook},
		{pattern: "DELETE " + one, needs: "repository_hooks:write", run: s.deleteHook},
		{pattern: "GET " + one + "/config", needs: "repository_hooks:read", run: s.showHookConfig},
		{pattern: "PATCH " + one + "/config", needs: "repository_hooks:write", run: s.editHookConfig},
		{pattern: "POST " + one + "/pings", needs: "repository_hooks:read", run: s.pingHook},
		{pattern: "POST " + one + "/tests", needs: "repository_hooks:read", run: s.testHook},
	}
}

func (c *call) hook() *hook {
	for _, h := range c.repo.hooks {
		if h.id == c.number("id") {
			return h
		}
	}
	return nil
}

func (h *hook) config() obj {
	v := obj{"url": h.url, "content_type": h.contentType, "insecure_ssl": h.insecure}
	if h.secret != "" {
		v["secret"] = "********"
	}
	return v
}

func (s *Server) hookView(h *hook) obj {
	at := fmt.Sprintf("%s/repos/%s/hooks/%d", s.base, h.repo.full(), h.id)
	var code any
	if h.lastCode != 0 {
		code = h.lastCode
	}
	var message any
	if h.lastMessage != "" {
		message = h.lastMessage
	}
	return obj{
		"type": "Repository", "id": h.id, "name": "web", "active": h.active, "events": h.events, "config": h.config(),
		"created_at": h.created, "updated_at": h.updated, "url": at, "test_url": at + "/test", "ping_url": at + "/pings", "deliveries_url": at + "/deliveries",
		"last_response": obj{"code": code, "status": cmp.Or(h.lastStatus, "unused"), "message": message},
	}
}

func (s *Server) listHooks(c *call) answer {
	list := []obj{}
	for _, h := range c.repo.hooks {
		list = append(list, s.hookView(h))
	}
	return paged(s, c, list)
}

func (s *Server) showHook(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	return ok(s.hookView(h))
}

func (s *Server) createHook(c *call) answer {
	var in hookInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	if in.Name != "" && in.Name != "web" {
		return invalid("Hook", "name", "name must be web")
	}
	if in.Config == nil {
		return invalid("Hook", "config", "config can't be blank")
	}
	h := &hook{repo: c.repo, events: in.Events, active: in.Active == nil || *in.Active, created: s.now(), updated: s.now()}
	if len(h.events) == 0 {
		h.events = []string{"push"}
	}
	h.configure(*in.Config)
	if a, refused := h.refused(); refused {
		return a
	}
	h.id = s.id()
	c.repo.hooks = append(c.repo.hooks, h)
	if h.active {
		s.ping(h)
	}
	return created(s.hookView(h))
}

// configure replaces the whole config: a secret that is not sent is gone, one that is shown as stars stays.
func (h *hook) configure(in hookConfig) {
	h.url, h.contentType = in.URL, cmp.Or(in.ContentType, "form")
	if in.Secret != "********" {
		h.secret = in.Secret
	}
	h.insecure = "0"
	if in.InsecureSSL != nil {
		h.insecure = fmt.Sprint(in.InsecureSSL)
	}
}

// refused are the reasons for which a hook is not taken as it is.
func (h *hook) refused() (answer, bool) {
	u, err := url.Parse(h.url)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return invalid("Hook", "url", "url is malformed"), true
	case h.contentType != "json" && h.contentType != "form":
		return invalid("Hook", "content_type", "content_type must be form or json"), true
	}
	for _, event := range h.events {
		if !slices.Contains(knownEvents(), event) {
			return invalid("Hook", "events", fmt.Sprintf("the event %q is not simulated", event)), true
		}
	}
	n := 0
	for _, other := range h.repo.hooks {
		if other == h {
			continue
		}
		n++
		if other.url == h.url && other.contentType == h.contentType {
			return invalid("Hook", "", "Hook already exists on this repository"), true
		}
	}
	if n >= 20 {
		return invalid("Hook", "", `The "push" event cannot have more than 20 hooks`), true
	}
	return answer{}, false
}

func knownEvents() []string {
	return []string{
		"*", "push", "pull_request", "issue_comment", "create", "delete", "release", "package", "registry_package", "status", "deployment",
		"deployment_status", "ping", "repository", "check_run", "check_suite", "workflow_run", "issues", "pull_request_review",
	}
}

func (s *Server) editHook(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	var in hookInput
	if a, fine := c.decode(&in); !fine {
		return a
	}
	next := *h
	next.events = slices.Clone(h.events)
	if in.Config != nil {
		next.configure(*in.Config)
	}
	if len(in.Events) > 0 {
		next.events = in.Events
	}
	for _, e := range in.AddEvents {
		if !slices.Contains(next.events, e) {
			next.events = append(next.events, e)
		}
	}
	next.events = slices.DeleteFunc(next.events, func(e string) bool { return slices.Contains(in.RemoveEvents, e) })
	if in.Active != nil {
		next.active = *in.Active
	}
	return s.replace(h, next)
}

// replace takes the hook as it is to be, unless it is refused.
func (s *Server) replace(h *hook, next hook) answer {
	was := *h
	*h = next
	if a, refused := h.refused(); refused {
		*h = was
		return a
	}
	h.updated = s.now()
	return ok(s.hookView(h))
}

func (s *Server) deleteHook(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	c.repo.hooks = slices.DeleteFunc(c.repo.hooks, func(o *hook) bool { return o == h })
	return empty()
}

func (s *Server) showHookConfig(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	return ok(h.config())
}

// editHookConfig changes what is named and leaves the rest.
func (s *Server) editHookConfig(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	in := hookConfig{URL: h.url, ContentType: h.contentType, Secret: h.secret, InsecureSSL: h.insecure}
	if a, fine := c.decode(&in); !fine {
		return a
	}
	next := *h
	next.configure(in)
	if a := s.replace(h, next); a.status != http.StatusOK {
		return a
	}
	return ok(h.config())
}

func (s *Server) pingHook(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	s.ping(h)
	return empty()
}

// ping tells a hook that it is there.
func (s *Server) ping(h *hook) {
	s.deliver(h, notice{event: "ping", payload: obj{
		"zen": "Keep it logically awesome.", "hook_id": h.id, "hook": s.hookView(h),
		"repository": s.repoView(h.repo), "sender": s.userView(h.repo.owner),
	}})
}

// testHook sends the newest push again.
func (s *Server) testHook(c *call) answer {
	h := c.hook()
	if h == nil {
		return notFound()
	}
	ref := "refs/heads/" + s.defaultBranch(c.repo)
	if hash := s.commit(c.repo, ref); hash != "" && slices.Contains(h.events, "push") {
		s.deliver(h, notice{event: "push", payload: s.pushView(c.repo, moved{ref: ref, before: hash, after: hash}, c.who.login)})
	}
	return empty()
}
