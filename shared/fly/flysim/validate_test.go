package flysim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// The published document needs mending before it says what clients send and what Fly answers. What
// was recorded of the real flyctl wins. Each mending has its reason.
func mended(doc *openapi3.T) {
	schemas := doc.Components.Schemas
	prop := func(schema, name string) *openapi3.Schema {
		p := schemas[schema].Value.Properties[name]
		if p == nil {
			panic(schema + " has no " + name)
		}
		fresh := *p.Value // properties that share a schema are mended one by one
		schemas[schema].Value.Properties[name] = &openapi3.SchemaRef{Value: &fresh}
		return &fresh
	}
	either := func(schema, name string, others ...*openapi3.Schema) {
		s := prop(schema, name)
		was := *s
		*s = *openapi3.NewAnyOfSchema(append(others, &was)...)
	}

	// 1. Two operations are called Machines_update_metadata.
	doc.Paths.Value("/apps/{app_name}/machines/{machine_id}/metadata").Patch.OperationID = "Machines_patch_metadata"
	// 2. Refusals are documented for few operations, and never the statuses 401, 403, 404, 408, 409, 412 and 429.
	refusal := openapi3.NewResponse().WithDescription("Refused").WithJSONSchemaRef(openapi3.NewSchemaRef("#/components/schemas/ErrorResponse", schemas["ErrorResponse"].Value))
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			op.Responses.Set("default", &openapi3.ResponseRef{Value: refusal})
		}
	}
	// 3. A name that is taken says so in status.
	schemas["main.statusCode"].Value.Enum = append(schemas["main.statusCode"].Value.Enum, "name_taken", "")
	// 4. autostop is a boolean for off and stop, in requests and in answers.
	either("fly.MachineService", "autostop", openapi3.NewBoolSchema())
	// 5. fly-go always sends force_instance_key, and null for what is not set in a volume request.
	prop("fly.MachineService", "force_instance_key").Nullable = true
	for name := range schemas["CreateVolumeRequest"].Value.Properties {
		prop("CreateVolumeRequest", name).Nullable = true
	}
	prop("UpdateVolumeRequest", "snapshot_retention").Nullable = true
	prop("UpdateVolumeRequest", "auto_backup_enabled").Nullable = true
	// 6. A volume that is not attached says null.
	prop("Volume", "attached_machine_id").Nullable = true
	prop("Volume", "attached_alloc_id").Nullable = true
	// 7. A secret that is to be removed is null.
	values := prop("AppSecretsUpdateRequest", "values")
	values.AdditionalProperties = openapi3.AdditionalProperties{Schema: openapi3.NewSchemaRef("", openapi3.NewStringSchema().WithNullable())}
	// 8. fly-go's Kill sends the number of the signal.
	either("SignalRequest", "signal", openapi3.NewIntegerSchema())
	// 9. Bytes are base64, not lists of numbers.
	for _, at := range [][2]string{
		{"SetSecretkeyRequest", "value"},
		{"EncryptSecretkeyRequest", "plaintext"},
		{"EncryptSecretkeyRequest", "associated_data"},
		{"EncryptSecretkeyResponse", "ciphertext"},
		{"DecryptSecretkeyRequest", "ciphertext"},
		{"DecryptSecretkeyRequest", "associated_data"},
		{"DecryptSecretkeyResponse", "plaintext"},
		{"SignSecretkeyRequest", "plaintext"},
		{"SignSecretkeyResponse", "signature"},
		{"VerifySecretkeyRequest", "plaintext"},
		{"VerifySecretkeyRequest", "signature"},
	} {
		either(at[0], at[1], openapi3.NewStringSchema())
	}
	prop("SetSecretkeyRequest", "value").Nullable = true
	// 10. Lease requests have their ttl in the query and no body; the answer wraps the lease.
	lease := doc.Paths.Value("/apps/{app_name}/machines/{machine_id}/lease")
	lease.Post.RequestBody.Value.Required = false
	wrapped := openapi3.NewObjectSchema().WithProperty("status", openapi3.NewStringSchema()).WithPropertyRef("data", openapi3.NewSchemaRef("", schemas["Lease"].Value))
	wrapped.Required = []string{"status", "data"}
	lease.Post.Responses.Value("201").Value.Content = openapi3.NewContentWithJSONSchema(wrapped)
	lease.Get.Responses.Value("200").Value.Content = openapi3.NewContentWithJSONSchema(wrapped)
	// 11. Enumerations that swagger turned into objects are strings.
	for _, at := range [][2]string{
		{"fly.ContainerDependency", "condition"}, {"fly.ContainerHealthcheck", "kind"}, {"fly.ContainerHealthcheck", "unhealthy"}, {"fly.HTTPHealthcheck", "scheme"},
	} {
		*prop(at[0], at[1]) = *openapi3.NewStringSchema()
	}
	// 12. A response header is a text, a list of texts, or false to remove it.
	prop("fly.HTTPResponseOptions", "headers").AdditionalProperties = openapi3.AdditionalProperties{Has: ptr(true)}
	// 13. Placements: fly-go sends null for what it does not ask for.
	for _, name := range []string{"compute", "weights"} {
		prop("main.getPlacementsRequest", name).Nullable = true
	}
}

var document = sync.OnceValues(func() (routers.Router, error) {
	text, err := os.ReadFile("testdata/fly-openapi.json")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/v1"}}
	mended(doc)
	return legacy.NewRouter(doc, openapi3.DisableExamplesValidation())
})

// validator checks everything that goes over the wire against the mended document.
type validator struct {
	t     *testing.T
	under http.RoundTripper
}

func validating(t *testing.T, under http.RoundTripper) http.RoundTripper {
	t.Helper()
	return validator{t, under}
}

func options() *openapi3filter.Options {
	return &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true, IncludeResponseStatus: false}
}

// RoundTrip is for http.RoundTripper.
func (v validator) RoundTrip(r *http.Request) (*http.Response, error) {
	input, err := checkRequest(r)
	if err != nil {
		v.t.Errorf("%s %s does not fit the document: %v", r.Method, r.URL, err)
	}
	resp, err := v.under.RoundTrip(r)
	if err != nil || input == nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := checkAnswer(input, resp, body); err != nil {
		v.t.Errorf("answer to %s %s does not fit the document: %v\n%s", r.Method, r.URL, err, body)
	}
	return resp, nil
}

// checkAnswer validates an answer whose body has been read.
func checkAnswer(input *openapi3filter.RequestValidationInput, resp *http.Response, body []byte) error {
	return openapi3filter.ValidateResponse(input.Request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: options(),
	})
}

// checkRequest validates a request and leaves its body as it was.
func checkRequest(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	router, err := document()
	if err != nil {
		return nil, err
	}
	var body []byte
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	copied := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), bytes.NewReader(body))
	for k, v := range r.Header { // fly-go writes some names in small letters
		copied.Header[http.CanonicalHeaderKey(k)] = v
	}
	if len(body) > 0 && copied.Header.Get("Content-Type") == "" {
		copied.Header.Set("Content-Type", "application/json")
	}
	found, params, err := router.FindRoute(copied)
	if err != nil {
		return nil, err
	}
	input := &openapi3filter.RequestValidationInput{Request: copied, PathParams: params, Route: found, Options: options()}
	return input, openapi3filter.ValidateRequest(r.Context(), input)
}

// TestRecordedBodiesFitTheDocument holds the mended document against what the real flyctl sent.
func TestRecordedBodiesFitTheDocument(t *testing.T) {
	text, err := os.ReadFile("testdata/flyctl-bodies.json")
	need(t, err)
	var bodies []struct {
		Name, Kind string
		Body       json.RawMessage
	}
	need(t, json.Unmarshal(text, &bodies))
	paths := map[string]string{
		"create": "/v1/apps/a/machines", "update": "/v1/apps/a/machines/m", "volume": "/v1/apps/a/volumes", "ip": "/v1/apps/a/ip_assignments",
	}
	if len(bodies) < 90 {
		t.Errorf("there are %d recorded bodies, want at least 90", len(bodies))
	}
	for _, b := range bodies {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, paths[b.Kind], strings.NewReader(string(b.Body)))
		if _, err := checkRequest(r); err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
}
