package identity

import (
	"encoding/json"
	"time"
)

// GitHubIssuer is the issuer of GitHub Actions' tokens.
const GitHubIssuer = "https://token.actions.githubusercontent.com"

// FlyIssuer is the issuer of the tokens of an organisation's machines on Fly.
func FlyIssuer(orgSlug string) string { return "https://oidc.fly.io/" + orgSlug }

// Claims are what a token says of its bearer. What an issuer does not say is empty.
type Claims struct {
	Issuer   string    `json:"iss"`
	Subject  string    `json:"sub"`
	Expires  time.Time `json:"-"`
	IssuedAt time.Time `json:"-"`
	// ID names the token.
	ID string `json:"jti"`

	// What GitHub Actions says of a run. Repository is OWNER/NAME, and Ref a full ref; the id of a
	// repository stays when its name is given to another one.
	Repository   string `json:"repository"`
	RepositoryID string `json:"repository_id"`
	Owner        string `json:"repository_owner"`
	Ref          string `json:"ref"`
	SHA          string `json:"sha"`
	Actor        string `json:"actor"`
	Event        string `json:"event_name"`
	Environment  string `json:"environment"`
	// WorkflowRef is the workflow's file and ref: OWNER/NAME/.github/workflows/deploy.yml@refs/heads/main.
	WorkflowRef string `json:"workflow_ref"`

	// What Fly says of a machine. Org is the organisation's slug, App the app's name, Machine the machine's id.
	Org         string `json:"org_name"`
	OrgID       string `json:"org_id"`
	App         string `json:"app_name"`
	AppID       string `json:"app_id"`
	Machine     string `json:"machine_id"`
	MachineName string `json:"machine_name"`
	Image       string `json:"image"`
	Region      string `json:"region"`
}

// unproven are the claims that are looked at before the signature: to send away what was never meant for us.
type unproven struct {
	Issuer   string   `json:"iss"`
	Audience audience `json:"aud"`
	Expiry   float64  `json:"exp"`
	Begin    float64  `json:"nbf"`
	Issued   float64  `json:"iat"`
}

// audience is one text or several.
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// Issuer is who a token says that it is from, empty where it is none. Nothing of that is proven: it only tells
// which Verifier to ask.
func Issuer(raw string) string {
	t, _ := parseToken(raw)
	return t.Issuer
}
