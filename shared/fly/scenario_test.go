package fly

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gigurra/flycd/shared/machine"
	"github.com/gigurra/flycd/shared/plan"
)

// tableScope is all that can be observed.
func tableScope() plan.Scope {
	return plan.Scope{Secrets: true, Certs: true, Commands: true, Egress: true, Addons: []machine.Addon{redis(), bucket(), postgres()}}
}

// tableClient is a deployer whose lost leases run out soon, but not before a busy computer can refresh them.
func tableClient(o *Options) {
	o.LeaseTTL, o.LeaseWait, o.Lag = 10*time.Second, 15*time.Second, 100*time.Millisecond
}

// slowAnswer outlasts a write of the table's client.
const slowAnswer = 5300 * time.Millisecond

// scenario is a deploy as this room is asked for it: a release, steps in their order, a proof.
type scenario struct {
	name   string
	secret string
	steps  func(ch *Change, o plan.Observed) []plan.Step
	proof  []string
	image  string
}

// sealed is a config that says which secrets its machine has, as plan's do.
func sealed(ch *Change, name, image string) plan.CreateMachine {
	s := create(name, image)
	if v := ch.minSecrets(); v != nil {
		s.Config.Metadata["flycd_secrets"] = fmt.Sprint(*v)
	}
	return s
}

func firstDeploy() scenario {
	return scenario{
		name: "first deploy", secret: "first-value", proof: []string{"shop-app-ams-0", "shop-db-ams-0"}, image: imageOne,
		steps: func(ch *Change, _ plan.Observed) []plan.Step {
			db := sealed(ch, "shop-db-ams-0", imageOne)
			db.Config.Mounts, db.Volume = append(db.Config.Mounts, mount()), "data"
			return []plan.Step{
				plan.CreateApp{App: testApp, Org: "personal"},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: redis()},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: bucket()},
				plan.CreateAddon{App: testApp, Org: "personal", Addon: postgres()},
				plan.SetSecrets{App: testApp, Set: []string{"A"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v6"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "v4"}},
				plan.AllocateIP{App: testApp, IP: machine.IP{Type: "egress", Region: "ams"}},
				plan.AddCert{App: testApp, Hostname: "shop.example.com"},
				plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams"},
				plan.CreateVolume{App: testApp, Volume: machine.Volume{Name: "data", SizeGB: 1}, Region: "ams", Ordinal: 1},
				command("shop-release-j1"),
				sealed(ch, "shop-app-ams-0", imageOne), db,
			}
		},
	}
}

// nextDeploy changes, hides, shows, and takes away.
func nextDeploy() scenario {
	return scenario{
		name: "update", secret: "second-value", proof: []string{"shop-app-ams-1", "shop-db-ams-0"}, image: imageTwo,
		steps: func(ch *Change, o plan.Observed) []plan.Step {
			green := sealed(ch, "shop-app-ams-1", imageTwo)
			green.Hidden = true
			days := 21
			steps := []plan.Step{plan.SetSecrets{App: testApp, Set: []string{"B"}, Unset: []string{"A"}}}
			var away []plan.Step
			for _, v := range o.Volumes {
				if v.IsAttached() {
					steps = append(steps, plan.ExtendVolume{App: testApp, Volume: v, SizeGB: 3}, plan.UpdateVolume{App: testApp, Volume: v, SnapshotRetention: &days})
				} else {
					away = append(away, plan.DestroyVolume{App: testApp, Volume: v})
				}
			}
			steps = append(steps, command("shop-release-j2"), green, plan.Uncordon{App: testApp, Name: green.Name})
			for _, m := range o.Machines {
				switch m.Name {
				case "shop-app-ams-0":
					steps = append(steps, plan.Cordon{App: testApp, Machine: m.ID})
					away = append(away, plan.DestroyMachine{App: testApp, Machine: m})
				case "shop-db-ams-0":
					u := plan.UpdateMachine{App: testApp, Machine: m, Config: sealed(ch, m.Name, imageTwo).Config}
					u.Config.Mounts = m.Config.Mounts
					steps = append(steps, u)
				}
			}
			for _, ip := range o.IPs {
				if ip.Egress || strings.Contains(ip.Address, ".") {
					away = append(away, plan.ReleaseIP{App: testApp, Address: ip.Address})
				}
			}
			for _, a := range o.Addons {
				away = append(away, plan.DestroyAddon{App: testApp, Addon: a})
			}
			return append(append(steps, away...), plan.RemoveCert{App: testApp, Hostname: "shop.example.com"})
		},
	}
}

// play does the scenario once. Machines are asked for anew when the secrets' version is known.
func (s scenario) play(ctx context.Context, c *Client) error {
	ch, err := c.Begin(ctx, testApp, tableScope())
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	ch.Provide(secretsOf(map[string]string{"A": s.secret, "B": s.secret}))
	var record ReleaseRecord
	o := ch.Observed()
	for i := range s.steps(ch, o) {
		step := s.steps(ch, o)[i]
		if err := ch.Apply(ctx, step); err != nil {
			_ = c.EndRelease(ctx, record, "failed", err.Error())
			return fmt.Errorf("%T: %w", step, err)
		}
		if i == 0 {
			record, _ = c.StartRelease(ctx, newRelease()) // it fails no deploy
		}
	}
	for _, name := range s.proof {
		p := proof(name, s.image)
		m, _ := ch.named(name)
		p.Machines[0].Config = m.Config
		if err := ch.Prove(ctx, p); err != nil {
			return fmt.Errorf("prove: %w", err)
		}
	}
	_ = c.EndRelease(ctx, record, "complete", "")
	return nil
}
