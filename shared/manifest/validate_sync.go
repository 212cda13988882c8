package manifest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // a manifest means the same where the system knows no time zones
)

// mostWindows bounds what it takes to find out when an app may be deployed.
const mostWindows = 50

// sync checks the policy, also where it comes from a project.
func (c checker) sync() {
	s := c.app.Sync
	if l := s.Retry.Limit; l != nil && *l < 1 {
		c.bad("sync.retry.limit", "expected at least 1 attempt, found %d", *l)
	}
	if b := s.Retry.Backoff; b != nil && *b < 0 {
		c.bad("sync.retry.backoff", "expected 0 or more, found %s", b)
	}
	c.pruning(s)
	if len(s.Windows) > mostWindows {
		c.bad("sync.windows", "expected at most %d, found %d", mostWindows, len(s.Windows))
	}
	for i, w := range s.Windows {
		c.window(fmt.Sprintf("sync.windows[%d]", i), w)
	}
	for i, field := range s.Ignore {
		c.ignoredField(fmt.Sprintf("sync.ignore[%d]", i), field)
	}
}

func (c checker) window(key string, w Window) {
	if w.Kind == "" {
		c.bad(key+".kind", "is missing; expected allow or deny")
	}
	fields := strings.Fields(w.Schedule)
	switch {
	case len(fields) == 0:
		c.bad(key+".schedule", "is missing; say when the window begins, as cron does: 0 22 * * 1-5")
	case len(fields) != 5 && !strings.HasPrefix(fields[0], "@"):
		c.bad(key+".schedule", "expected five fields as cron has them (minute, hour, day, month, weekday: 0 22 * * 1-5), found %d", len(fields))
	}
	switch {
	case w.Duration == nil:
		c.bad(key+".duration", "is missing; say how long the window is, such as 8h")
	case *w.Duration <= 0:
		c.bad(key+".duration", "expected more than 0, found %s", w.Duration)
	}
	if _, err := time.LoadLocation(w.Timezone); err != nil || w.Timezone == "Local" {
		c.bad(key+".timezone", "expected a time zone such as Europe/Stockholm, found %q", clip(w.Timezone))
	}
}

// longestGrace is how long FlyCD remembers an app that is to be destroyed.
const longestGrace = 30 * 24 * time.Hour

// pruning checks what bounds the apps that one sync destroys.
func (c checker) pruning(s Sync) {
	if apps, percent := s.PruneLimit(); s.PruneMax != "" && apps == 0 && percent == 0 {
		c.bad("sync.prune_max", "expected a number of apps above 0, such as 3, or a percentage from 1%% to 100%%, such as 20%%, found %q; prune: false destroys none", clip(s.PruneMax))
	}
	if g := s.PruneGrace; g != nil && (*g < 0 || time.Duration(*g) > longestGrace) {
		c.bad("sync.prune_grace", "expected 0 to 720h, found %s", g)
	}
}

// mostNotices bounds what one outcome sets off.
const mostNotices = 20

func (c checker) notices() {
	noticesFault(c.app.Notify, c.bad)
}

// noticesFault tells what is wrong with who is told.
func noticesFault(list []Notify, bad func(key, format string, args ...any)) {
	if len(list) > mostNotices {
		bad("notify", "expected at most %d, found %d", mostNotices, len(list))
	}
	for i, n := range list {
		key := fmt.Sprintf("notify[%d].to", i)
		switch {
		case n.To == "":
			bad(key, "is missing; say which destination of FLYCD_NOTIFY is told")
		case strings.Contains(n.To, "://"):
			bad(key, "expected the name of a destination, found an address; give the dispatcher the address (FLYCD_NOTIFY=team=https://…) and write its name here (to: team)")
		case !destination.MatchString(n.To):
			bad(key, "expected the name of a destination in FLYCD_NOTIFY, of letters, digits and . _ -, found %q", clip(n.To))
		}
		for j, on := range n.On {
			if on == "" {
				bad(fmt.Sprintf("notify[%d].on[%d]", i, j), "expected an outcome, or failure or success, found nothing")
			}
		}
	}
}

var destination = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
