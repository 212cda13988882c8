package flysim

import (
	"slices"
	"strings"
	"time"

	"github.com/superfly/macaroon/flyio"
	"github.com/superfly/macaroon/resset"
)

// issued is a token that createLimitedAccessToken made: what lists show of it, and what it is known by when it comes
// back, also narrowed.
type issued struct {
	id, name, uuid   string
	org              *org
	app              *app
	expires, revoked time.Time
}

// issue keeps a token for the lists. Without an app it is the organisation's.
func (s *Server) issue(t issued, text string) *issued {
	t.id, t.uuid = "token-"+digest(t.name, text), uuidOf(text)
	s.issued = append(s.issued, &t)
	return &t
}

func uuidOf(text string) string {
	tokens, err := flyio.ParseBundle(text)
	if err != nil {
		return ""
	}
	return flyio.UUIDs(tokens).String()
}

// revoked reports whether a request's tokens have one that was revoked among them.
func (s *Server) revoked(text string) bool {
	uuids := strings.Split(uuidOf(text), ",")
	return slices.ContainsFunc(s.issued, func(t *issued) bool { return !t.revoked.IsZero() && slices.Contains(uuids, t.uuid) })
}

func (t *issued) graph() *object {
	var revoked any
	if !t.revoked.IsZero() {
		revoked = t.revoked.UTC()
	}
	return &object{"LimitedAccessToken", fields{
		"id": t.id, "name": t.name, "expiresAt": t.expires.UTC(), "revokedAt": revoked, "token": "", "user": nil,
	}}
}

// graphTokens are the tokens of an app, or of an organisation: those of its apps too.
func (s *Server) graphTokens(o *org, a *app) field {
	return func(args arguments) (any, error) {
		var list []*object
		for _, t := range s.issued {
			if t.org == o && (a == nil || t.app == a) && (t.app == nil || s.apps[t.app.name] == t.app) {
				list = append(list, t.graph())
			}
		}
		return connection("LimitedAccessToken", list)(args)
	}
}

// deleteToken revokes a token. Fly keeps it in its lists.
func (s *Server) deleteToken(c *call, in arguments) (fields, error) {
	for _, t := range s.issued {
		if t.id != in.text("id") {
			continue
		}
		if _, refused := s.authorize(c.who, resset.ActionWrite, t.org, t.app); refused {
			break
		}
		if t.revoked.IsZero() {
			t.revoked = s.now()
			s.announce()
		}
		return fields{"token": t.id}, nil
	}
	return nil, notFound("LimitedAccessToken")
}
