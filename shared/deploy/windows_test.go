package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gigurra/flycd/shared/deploy"
	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// win reads "allow|0 22 * * *|2h|Europe/Stockholm".
func win(texts ...string) []manifest.Window {
	var out []manifest.Window
	for _, s := range texts {
		f := strings.Split(s, "|")
		d, err := time.ParseDuration(f[2])
		if err != nil {
			panic(err)
		}
		length := manifest.Duration(d)
		w := manifest.Window{Kind: f[0], Schedule: f[1], Duration: &length}
		if len(f) > 3 {
			w.Timezone = f[3]
		}
		out = append(out, w)
	}
	return out
}

func TestWindowsOpenAndClose(t *testing.T) {
	const sthlm = "|Europe/Stockholm"
	night, lunch, weekend := "allow|0 22 * * *|2h", "deny|0 12 * * 1-5|1h", "deny|0 0 * * 6|48h"
	for _, c := range []struct {
		name    string
		windows []manifest.Window
		now     string
		open    bool
		next    string
	}{
		{"no window", nil, "2026-11-24T12:00:00Z", true, ""},
		{"inside allow", win(night), "2026-11-24T23:59:59Z", true, ""},
		{"allow begins", win(night), "2026-11-24T22:00:00Z", true, ""},
		{"just before allow", win(night), "2026-11-24T21:59:59Z", false, "2026-11-24T22:00:00Z"},
		{"allow ends", win(night), "2026-11-25T00:00:00Z", false, "2026-11-25T22:00:00Z"},
		{"outside deny", win(lunch), "2026-11-24T11:59:59Z", true, ""},
		{"inside deny", win(lunch), "2026-11-24T12:00:00Z", false, "2026-11-24T13:00:00Z"},
		{"deny ends", win(lunch), "2026-11-24T13:00:00Z", true, ""},
		{"deny wins", win("allow|0 0 * * *|24h", lunch), "2026-11-24T12:30:00Z", false, "2026-11-24T13:00:00Z"},
		{"outside of deny and allow", win(night, lunch), "2026-11-24T15:00:00Z", false, "2026-11-24T22:00:00Z"},
		{"deny over the whole allow", win(night, "deny|0 21 * * 2|4h"), "2026-11-24T20:00:00Z", false, "2026-11-25T22:00:00Z"},
		{"deny over the beginning of allow", win(night, "deny|0 21 * * *|90m"), "2026-11-24T20:00:00Z", false, "2026-11-24T22:30:00Z"},
		{"deny after deny", win(weekend, "deny|0 0 * * 1|6h"), "2026-11-28T10:00:00Z", false, "2026-11-30T06:00:00Z"},
		{"a window of days", win(weekend), "2026-11-29T23:00:00Z", false, "2026-11-30T00:00:00Z"},
		{"windows that overlap themselves", win("allow|*/10 * * * *|15m"), "2026-11-24T12:07:00Z", true, ""},
		{"never", win("deny|* * * * *|2m"), "2026-11-24T12:00:00Z", false, "never"},
		{"no such day", win("allow|0 0 31 2 *|1h"), "2026-11-24T12:00:00Z", false, "never"},
		{"a descriptor", win("allow|@daily|1h"), "2026-11-24T12:00:00Z", false, "2026-11-25T00:00:00Z"},
		{"by the zone", win(night + sthlm), "2026-11-24T21:30:00Z", true, ""},
		{"by the zone in summer", win(night + sthlm), "2026-07-24T20:30:00Z", true, ""},
		{"by the zone, closed", win(night + sthlm), "2026-07-24T22:00:00Z", false, "2026-07-25T20:00:00Z"},
		{"east of everything", win("allow|0 1 * * *|1h|Pacific/Kiritimati"), "2026-11-24T11:30:00Z", true, ""},
		// 2026-03-29 the clock goes from 02:00 (01:00 UTC) to 03:00.
		{"left out by the leap", win("allow|30 2 * * *|1h" + sthlm), "2026-03-29T01:30:00Z", true, ""},
		{"begins at the leap", win("allow|30 2 * * *|1h" + sthlm), "2026-03-29T00:59:00Z", false, "2026-03-29T01:00:00Z"},
		{"ends an hour after the leap", win("allow|30 2 * * *|1h" + sthlm), "2026-03-29T02:00:00Z", false, "2026-03-30T00:30:00Z"},
		{"across the leap", win("deny|0 1 * * *|3h" + sthlm), "2026-03-29T02:59:00Z", false, "2026-03-29T03:00:00Z"},
		// 2026-10-25 it goes from 03:00 (01:00 UTC) back to 02:00.
		{"shown twice, first", win("allow|30 2 * * *|10m" + sthlm), "2026-10-25T00:35:00Z", true, ""},
		{"shown twice, between", win("allow|30 2 * * *|10m" + sthlm), "2026-10-25T00:40:00Z", false, "2026-10-25T01:30:00Z"},
		{"shown twice, second", win("allow|30 2 * * *|10m" + sthlm), "2026-10-25T01:39:00Z", true, ""},
		{"after both", win("allow|30 2 * * *|10m" + sthlm), "2026-10-25T01:40:00Z", false, "2026-10-26T01:30:00Z"},
		{"across the set-back", win("deny|0 1 * * *|3h" + sthlm), "2026-10-25T01:59:59Z", false, "2026-10-25T02:00:00Z"},
		{"half an hour's leap", win("allow|15 2 * * *|20m|Australia/Lord_Howe"), "2026-10-03T15:35:00Z", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raced && c.name == "never" {
				return // looking through all the years takes the race detector half a minute
			}
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			o, err := deploy.OpeningAt(c.windows, now)
			if err != nil {
				t.Fatal(err)
			}
			next := ""
			if !o.Open && o.Next.IsZero() {
				next = "never"
			} else if !o.Open {
				next = o.Next.UTC().Format(time.RFC3339)
			}
			if o.Open != c.open || next != c.next {
				t.Errorf("open %v, next %q, want %v, %q (%s)", o.Open, next, c.open, c.next, o.Why)
			}
			if o.Open == (o.Why != "") {
				t.Errorf("open %v because %q", o.Open, o.Why)
			}
		})
	}
}

func TestBadWindowIsRejectedByItsKey(t *testing.T) {
	for want, w := range map[string]manifest.Window{
		"sync.windows[0].kind":     {Kind: "maybe", Schedule: "0 0 * * *", Duration: win("deny|* * * * *|1h")[0].Duration},
		"sync.windows[0].schedule": {Kind: "deny", Schedule: "at noon", Duration: win("deny|* * * * *|1h")[0].Duration},
		"every has no beginning":   {Kind: "deny", Schedule: "@every 5m", Duration: win("deny|* * * * *|1h")[0].Duration},
		"a key of its own":         {Kind: "deny", Schedule: "CRON_TZ=Asia/Tokyo 0 0 * * *", Duration: win("deny|* * * * *|1h")[0].Duration},
		"sync.windows[0].duration": {Kind: "deny", Schedule: "0 0 * * *"},
		"sync.windows[0].timezone": {Kind: "deny", Schedule: "0 0 * * *", Duration: win("deny|* * * * *|1h")[0].Duration, Timezone: "Mars/Olympus"},
	} {
		_, err := deploy.OpeningAt([]manifest.Window{w}, time.Now())
		if !errors.Is(err, job.ErrRejected) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gave %v, want %q", w, err, want)
		}
	}
}

// The next opening is open, and the minute before it is closed, whatever the windows and the zone are.
func TestNextOpeningIsTheFirst(t *testing.T) {
	zones := rapid.SampledFrom([]string{"", "Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"})
	schedules := rapid.SampledFrom([]string{"0 * * * *", "30 2 * * *", "0 22 * * 1-5", "*/20 1-3 * * *", "0 0 * * 0", "15 23 1 * *"})
	lengths := rapid.SampledFrom([]string{"5m", "59m", "2h", "26h"})
	rapid.Check(t, func(t *rapid.T) {
		var list []manifest.Window
		for range rapid.IntRange(1, 3).Draw(t, "windows") {
			kind := rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "kind")
			list = append(list, win(strings.Join([]string{kind, schedules.Draw(t, "schedule"), lengths.Draw(t, "length"), zones.Draw(t, "zone")}, "|"))...)
		}
		// two weeks around either leap of 2026
		base := rapid.SampledFrom([]int64{1774400400, 1792890000, 1772953200, 1793509200}).Draw(t, "base")
		now := time.Unix(base+60*rapid.Int64Range(-7*24*60, 7*24*60).Draw(t, "minutes"), 0)
		o, err := deploy.OpeningAt(list, now)
		if err != nil {
			t.Fatal(err)
		}
		if o.Open || o.Next.IsZero() {
			return
		}
		if !o.Next.After(now) {
			t.Fatalf("next is %s at %s", o.Next, now)
		}
		at := func(moment time.Time) bool {
			o, err := deploy.OpeningAt(list, moment)
			if err != nil {
				t.Fatal(err)
			}
			return o.Open
		}
		if !at(o.Next) {
			t.Fatalf("closed at %s, which is the next opening after %s", o.Next, now)
		}
		for before := now; before.Before(o.Next) && before.Before(now.Add(24*time.Hour)); before = before.Add(30 * time.Minute) {
			if at(before) {
				t.Fatalf("open at %s, and %s is the next opening after %s", before, o.Next, now)
			}
		}
	})
}

// TestLongWindowsThatBeginAllTheTimeCostLittle: a manifest cannot keep a runner busy with its windows.
func TestLongWindowsThatBeginAllTheTimeCostLittle(t *testing.T) {
	ended := make(chan deploy.Opening, 1)
	go func() {
		century := manifest.Duration(100 * 366 * 24 * time.Hour)
		o, err := deploy.OpeningAt([]manifest.Window{{Kind: "deny", Schedule: "* * * * *", Duration: &century}}, time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
		if err != nil {
			t.Error(err)
		}
		ended <- o
	}()
	select {
	case o := <-ended:
		if o.Open || !o.Next.IsZero() {
			t.Errorf("got %+v", o)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it is still being found out")
	}
}
