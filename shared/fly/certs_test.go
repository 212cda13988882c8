package fly

import (
	"errors"
	"strings"
	"testing"

	flygo "github.com/superfly/fly-go"

	"github.com/gigurra/flycd/shared/fly/flysim"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

func TestCertificateIsAddedOnceAndSaysWhatItWaitsFor(t *testing.T) {
	w := deployed(t, flysim.Options{})
	ch := begin(t, w.client(t), plan.Scope{Certs: true})
	apply(t, ch,
		plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v4"}}, plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v6"}},
		plan.AddCert{App: testApp, Hostname: "shop.example.com"}, plan.AddCert{App: testApp, Hostname: "Shop.example.com"},
		plan.AddCert{App: testApp, Hostname: "shop.invalid"})
	if got := w.road.written(); len(got) != 4 {
		t.Errorf("writes: %v, want two addresses and two certificates", got)
	}
	w.sim.Issue("shop.example.com", true)
	o, err := ch.Look(t.Context())
	if err != nil || len(o.Certs) != 2 {
		t.Fatalf("certificates: %+v, %v", o.Certs, err)
	}
	issued, waits := o.Certs[0], o.Certs[1]
	if !issued.Issued || len(issued.Pending) != 0 || waits.Issued {
		t.Errorf("certificates: %+v", o.Certs)
	}
	said := strings.Join(waits.Pending, "\n")
	for _, want := range []string{"A shop.invalid → ", "AAAA shop.invalid → ", "CNAME shop.invalid → "} {
		if !strings.Contains(said, want) {
			t.Errorf("the records lack %q:\n%s", want, said)
		}
	}
	apply(t, ch, plan.RemoveCert{App: testApp, Hostname: "shop.invalid"}, plan.RemoveCert{App: testApp, Hostname: "shop.invalid"})
	if got := w.road.written(); len(got) != 1 {
		t.Errorf("writes: %v, want one removal", got)
	}
	if o := w.scoped(t, plan.Scope{Certs: true}); len(o.Certs) != 1 {
		t.Errorf("certificates that are left: %+v", o.Certs)
	}
}

func TestHostNameOfAnotherAppIsRejected(t *testing.T) {
	w := deployed(t, flysim.Options{})
	other, err := w.client(t).Begin(t.Context(), "other", plan.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, other, plan.CreateApp{App: "other", Org: "personal"}, plan.AddCert{App: "other", Hostname: "shop.example.com"})
	_ = other.Close()
	err = begin(t, w.client(t)).Apply(t.Context(), plan.AddCert{App: testApp, Hostname: "shop.example.com"})
	if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), "another app on Fly has the host name") {
		t.Errorf("add: %v", err)
	}
}

func TestRecordsNameWhatIsMissing(t *testing.T) {
	need := flygo.DNSRequirements{
		CNAME:         "x.shop.fly.dev",
		ACMEChallenge: flygo.ACMEChallengeRequirement{Name: "_acme-challenge.example.com", Target: "example.com.x.flydns.net"},
		Ownership:     flygo.OwnershipRequirement{Name: "_fly-ownership.example.com", AppValue: "app-x"},
	}
	for _, c := range []struct {
		host string
		is   flygo.CertificateDetailResponse
		want string
	}{
		{"example.com", flygo.CertificateDetailResponse{}, "CNAME example.com → x.shop.fly.dev|TXT _fly-ownership.example.com → app-x"},
		{
			"*.example.com",
			flygo.CertificateDetailResponse{Configured: true, Validation: flygo.CertificateValidation{DNSConfigured: true}},
			"CNAME _acme-challenge.example.com → example.com.x.flydns.net",
		},
		{
			"example.com",
			flygo.CertificateDetailResponse{
				Configured: true, Validation: flygo.CertificateValidation{DNSConfigured: true, OwnershipTxtConfigured: true},
				ValidationErrors: []flygo.ValidationError{{Message: "a CAA record forbids it", Remediation: "allow letsencrypt.org"}},
			},
			"a CAA record forbids it allow letsencrypt.org",
		},
	} {
		c.is.Hostname, c.is.DNSRequirements = c.host, need
		if got := strings.Join(recordsOf(&c.is), "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.host, got, c.want)
		}
	}
}
