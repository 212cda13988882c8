package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/gigurra/flycd/shared/catalog"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/queue"
)

// reader takes a delivery off the wire, lets nobody in who may not, and only then looks into it.
type reader func(http.ResponseWriter, *http.Request) (event, error)

func (s *Server) webhook(w http.ResponseWriter, r *http.Request) { s.hook(w, r, s.read) }

func (s *Server) registry(w http.ResponseWriter, r *http.Request) { s.hook(w, r, s.readRegistry) }

func (s *Server) hook(w http.ResponseWriter, r *http.Request, read reader) {
	began := time.Now()
	status, body := s.receive(w, r, read)
	s.counts.webhook(status, time.Since(began))
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	answer(w, status, body)
	if status == http.StatusAccepted {
		s.report(r.Context())
	}
}

// receive is the way from bytes to an answer.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, read reader) (status int, body any) {
	ctx := r.Context()
	e, err := read(w, r)
	if err != nil {
		status = refusalOf(err)
		s.Log.WarnContext(ctx, "refused", "status", status, "reason", err.Error(), "event", short(r.Header.Get("X-GitHub-Event")))
		return status, refused{err.Error()}
	}
	// The forge may go away before the answer; what it sent is done nevertheless.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyWithin)
	defer cancel()
	said, err := s.dispatch(ctx, e)
	if err != nil {
		s.Log.ErrorContext(ctx, "not accepted", "event", e.name, "delivery", e.guid, "error", err.Error())
		return unaccepted(err)
	}
	// Also a delivery that makes no job, or no new one, lets the dispatcher catch up: an earlier one
	// may have pushed its jobs and then failed to launch them.
	report, err := s.Due(ctx)
	what, at := e.subject()
	s.Log.InfoContext(ctx, "dispatched", "event", e.name, "delivery", e.guid, "repo", what, "ref", at,
		"jobs", len(said.Jobs), "ignored", said.Ignored, "launched", report.Launched, "pass", text(err))
	if len(said.Jobs) == 0 {
		return http.StatusOK, said
	}
	return http.StatusAccepted, said
}

// errUnsigned is a delivery that none of our secrets signed.
var errUnsigned = errors.New("not signed with this dispatcher's webhook secret (X-Hub-Signature-256)")

// read takes the delivery off the wire, verifies it and only then looks into it.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (event, error) {
	d := delivery{
		signature: r.Header.Get("X-Hub-Signature-256"), contentType: r.Header.Get("Content-Type"),
		event: r.Header.Get("X-GitHub-Event"), guid: r.Header.Get("X-GitHub-Delivery"),
	}
	if d.signature == "" {
		unread(w)
		return event{}, unsigned(r)
	}
	body, free, err := s.bodies.read(w, r, positive(s.BodyWithin, defaultBodyWithin))
	if free != nil {
		defer free()
	}
	if err != nil {
		return event{}, err
	}
	d.body = body
	v, ok := verify(s.Secrets, d)
	if !ok {
		return event{}, errUnsigned
	}
	return parse(v)
}

// unsigned says of a delivery without a signature where one without belongs, if its sender may be a registry.
func unsigned(r *http.Request) error {
	if r.URL.Path == registryPath {
		return fmt.Errorf("%w; a registry that signs nothing tells POST %s/TOKEN, with a token of FLYCD_REGISTRY_TOKENS", errUnsigned, registryPath)
	}
	return errUnsigned
}

// dispatch turns an event into jobs and has the queue take them, all or none.
func (s *Server) dispatch(ctx context.Context, e event) (queue.Answer, error) {
	if e.ignored != "" {
		// It is not kept: asked again, the answer is the same, and it costs Redis nothing.
		return queue.Answer{Jobs: []queue.Pushed{}, Ignored: e.ignored}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, pushWithin)
	defer cancel()
	jobs, ignored, err := s.jobs(ctx, e)
	if err != nil {
		return queue.Answer{}, err
	}
	if len(jobs) == 0 {
		// Not kept either: once a config tree names the repository, a redelivery is to make its jobs.
		return queue.Answer{Jobs: []queue.Pushed{}, Ignored: ignored}, nil
	}
	said, replay, err := s.Queue.Push(ctx, queue.Delivery{GUID: e.guid, Jobs: jobs, Ignored: ignored})
	if err != nil {
		return queue.Answer{}, err
	}
	s.counts.pushed(len(said.Jobs), replay)
	if said.Jobs == nil {
		said.Jobs = []queue.Pushed{}
	}
	return said, nil
}

// jobs says which jobs an event makes, and why others make none.
func (s *Server) jobs(ctx context.Context, e event) (jobs []job.Job, ignored string, err error) {
	now := s.now()
	if len(e.images) > 0 {
		found, err := s.Queue.Images(ctx, e.images)
		if err != nil {
			return nil, "", err
		}
		jobs, ignored = catalog.ImageJobs(e.images, found, now)
		return jobs, ignored, nil
	}
	if e.plan != nil {
		return s.plans(ctx, e)
	}
	if e.ping {
		return s.firstSync(ctx, e)
	}
	p := stamp(e.push, now)
	routes, more, err := s.Queue.Routes(ctx, p, catalog.MaxApps)
	if err != nil {
		return nil, "", err
	}
	jobs, ignored = catalog.Jobs(p, catalog.Found{Routes: routes, More: more, Roots: s.Roots}, now)
	return jobs, ignored, nil
}

// refusalOf is the status for a delivery that was not read.
func refusalOf(err error) int {
	switch {
	case errors.Is(err, errUnsigned), errors.Is(err, errNoToken):
		return http.StatusUnauthorized
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errContentType):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, errTooSlow):
		return http.StatusRequestTimeout
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadRequest
	}
}

// unaccepted is the answer for an event that the queue did not take. Its error may name addresses,
// which are nobody else's business.
func unaccepted(err error) (int, refused) {
	if errors.Is(err, job.ErrRejected) {
		return http.StatusBadRequest, refused{err.Error()}
	}
	return http.StatusServiceUnavailable, refused{"the queue cannot take it, nothing was accepted: send it again"}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// short bounds what is logged of a header that nobody signed.
func short(s string) string { return s[:min(len(s), 64)] }

// inert is what somebody else wrote as it may be told: in one line, and not at length.
func inert(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), 400)])
	return string([]rune(s)[:min(len([]rune(s)), 100)])
}
