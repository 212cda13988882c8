package fly

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/superfly/fly-go/flaps"
	"github.com/superfly/fly-go/tokens"
)

// flyAPI is where GraphQL, logs, releases and managed Postgres are: flyctl's default.
const flyAPI = "https://api.fly.io"

// rest is the way to the parts of Fly that are not the Machines API. It goes over a wire of its own
// with the same duties.
type rest struct {
	wire *wire
	// api is the base of GraphQL and the logs, uiex that of releases and managed Postgres.
	api, uiex string
	agent     string
	tokens    *tokens.Tokens
}

func newRest(o Options, toks *tokens.Tokens, machines *url.URL) (*rest, error) {
	fallback := flyAPI
	if machines != nil && isLoopback(machines.Hostname()) {
		fallback = o.BaseURL
	}
	r := &rest{
		wire: &wire{next: o.Transport, timeout: o.writeTime()}, agent: o.UserAgent, tokens: toks,
		api: cmp.Or(o.APIBaseURL, fallback), uiex: cmp.Or(o.UIEXBaseURL, fallback),
	}
	for of, base := range map[string]*string{"API": &r.api, "releases": &r.uiex} {
		if _, err := address(of, *base); err != nil {
			return nil, err
		}
		*base = strings.TrimSuffix(*base, "/")
	}
	return r, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// request is one request that fly-go has no call for. An answer that is no 2xx is a *flaps.FlapsError,
// like those of fly-go.
type request struct {
	method, url string
	// authorization is the header as flyctl sends it there.
	authorization string
	// in is sent as JSON unless it is nil; out is decoded from the answer unless it is nil.
	in, out any
	// read marks a POST that changes nothing.
	read bool
}

func (r *rest) send(ctx context.Context, q request) error {
	var body io.Reader
	if q.in != nil {
		raw, err := json.Marshal(q.in)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(withCall(ctx, &call{read: q.read}), q.method, q.url, body)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	req.Header.Set("Authorization", q.authorization)
	req.Header.Set("User-Agent", r.agent)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.wire.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case resp.StatusCode > 299:
		return &flaps.FlapsError{ResponseStatusCode: resp.StatusCode, ResponseBody: answer}
	case q.out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, q.out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// endpoint is a method and a path of the REST part.
type endpoint struct{ method, path string }

// uiexCall is a request to the REST part. flyctl sends all tokens there, always as a bearer.
func (r *rest) uiexCall(ctx context.Context, call endpoint, in, out any) error {
	return r.send(ctx, request{
		method: call.method, url: r.uiex + "/api/v1" + call.path, authorization: "Bearer " + r.tokens.GraphQL(), in: in, out: out,
	})
}

// query asks GraphQL and changes nothing; mutate changes something and is sent once.
func (r *rest) query(ctx context.Context, text string, vars map[string]any, out any) error {
	return r.graph(ctx, graphRequest{text, vars}, true, out)
}

func (r *rest) mutate(ctx context.Context, text string, vars map[string]any, out any) error {
	return r.graph(ctx, graphRequest{text, vars}, false, out)
}

type graphRequest struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
}

type graphProblem struct {
	Message    string `json:"message"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

func (r *rest) graph(ctx context.Context, q graphRequest, read bool, out any) error {
	var said struct {
		Data   json.RawMessage `json:"data"`
		Errors []graphProblem  `json:"errors"`
	}
	err := r.send(ctx, request{
		method: http.MethodPost, url: r.api + "/graphql", authorization: r.tokens.GraphQLHeader(), in: q, out: &said, read: read,
	})
	if err != nil {
		return err
	}
	if len(said.Errors) > 0 {
		return said.Errors[0].asStatus()
	}
	if out == nil || len(said.Data) == 0 {
		return nil
	}
	if err := json.Unmarshal(said.Data, out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// asStatus gives the error the form that it would have in the other APIs. What is not known may have
// happened.
func (p graphProblem) asStatus() error {
	status, text := http.StatusInternalServerError, strings.ToLower(p.Message)
	switch {
	case p.Extensions.Code == "NOT_FOUND", strings.Contains(text, "could not find"), strings.Contains(text, "not found"):
		status = http.StatusNotFound
	case p.Extensions.Code == "UNAUTHORIZED", p.Extensions.Code == "FORBIDDEN", strings.Contains(text, "not authorized"):
		status = http.StatusForbidden
	case p.Extensions.Code == "UNPROCESSABLE", isTaken(text), strings.Contains(text, "validation failed"):
		status = http.StatusUnprocessableEntity
	case strings.Contains(text, "rate limit"):
		status = http.StatusTooManyRequests
	}
	body, err := json.Marshal(map[string]string{"error": p.Message})
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return &flaps.FlapsError{ResponseStatusCode: status, ResponseBody: body}
}
