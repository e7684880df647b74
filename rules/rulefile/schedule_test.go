package rulefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// changes are days on which the clocks of a zone change.
var changes = []struct {
	zone string
	day  time.Time
}{
	{"America/New_York", time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC)},
	{"America/New_York", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)},
	{"Europe/Berlin", time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)},
	{"Europe/Berlin", time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2026, 4, 5, 0, 0, 0, 0, time.UTC)}, // half an hour
	{"Australia/Lord_Howe", time.Date(2026, 10, 4, 0, 0, 0, 0, time.UTC)},
	{"America/Sao_Paulo", time.Date(2018, 11, 4, 0, 0, 0, 0, time.UTC)}, // at midnight
	{"Pacific/Apia", time.Date(2011, 12, 30, 0, 0, 0, 0, time.UTC)},     // a whole day is skipped
	{"Asia/Seoul", time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)},       // never changes
}

// wallClock tells by trying every minute when a zone's clocks show a wall time
// for the first time. A skipped one counts on from the last minute before.
type wallClock struct {
	from, to time.Time // wall minutes, as UTC
	shown    map[time.Time]time.Time
}

func newWallClock(zone *time.Location, day time.Time) *wallClock {
	w := &wallClock{from: day.AddDate(0, 0, -2), to: day.AddDate(0, 0, 3), shown: map[time.Time]time.Time{}}
	for at := w.from.AddDate(0, 0, -2); at.Before(w.to.AddDate(0, 0, 2)); at = at.Add(time.Minute) {
		local := at.In(zone)
		wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
		if _, ok := w.shown[wall]; !ok {
			w.shown[wall] = at
		}
	}
	for wall := w.from; wall.Before(w.to); wall = wall.Add(time.Minute) {
		if _, ok := w.shown[wall]; !ok {
			w.shown[wall] = w.shown[wall.Add(-time.Minute)].Add(time.Minute)
		}
	}
	return w
}

func TestInstantOf(t *testing.T) {
	for _, c := range changes {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		w := newWallClock(zone, c.day)
		for wall := w.from; wall.Before(w.to); wall = wall.Add(time.Minute) {
			if got := instantOf(wall, zone); !got.Equal(w.shown[wall]) {
				t.Fatalf("%s shows %s at %s, expected %s", c.zone, wall.Format(time.DateTime), got.UTC(), w.shown[wall])
			}
		}
	}
}

// cronField is one field as text and as the values it stands for.
type cronField struct {
	text   string
	values []int // nil: every value
}

func everyNth(n, below int) []int {
	var list []int
	for i := 0; i < below; i += n {
		list = append(list, i)
	}
	return list
}

func (f cronField) has(v int) bool { return f.values == nil || slices.Contains(f.values, v) }

func TestCronAgainstEveryMinute(t *testing.T) {
	clocks := make([]*wallClock, len(changes))
	zones := make([]*time.Location, len(changes))
	for i, c := range changes {
		zones[i], _ = time.LoadLocation(c.zone)
		clocks[i] = newWallClock(zones[i], c.day)
	}
	compared := 0
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(changes)-1).Draw(t, "change")
		w := clocks[i]
		minute := rapid.SampledFrom([]cronField{
			{"0", []int{0}}, {"30", []int{30}}, {"*/15", everyNth(15, 60)}, {"5,35", []int{5, 35}}, {"*", nil}, {"10-12", []int{10, 11, 12}}, {"59", []int{59}},
		}).Draw(t, "minute")
		hour := rapid.SampledFrom([]cronField{
			{"*", nil}, {"2", []int{2}}, {"1-3", []int{1, 2, 3}}, {"0", []int{0}}, {"23", []int{23}}, {"*/6", everyNth(6, 24)}, {"2,3", []int{2, 3}}, {"9", []int{9}},
		}).Draw(t, "hour")
		weekday := rapid.SampledFrom([]cronField{
			{"*", nil}, {"0", []int{0}}, {"SUN", []int{0}}, {"7", []int{0}}, {"MON-FRI", []int{1, 2, 3, 4, 5}}, {"6,0", []int{6, 0}},
		}).Draw(t, "weekday")
		day := cronField{"*", nil}
		if rapid.IntRange(0, 3).Draw(t, "by day") == 0 {
			n := rapid.IntRange(1, 31).Draw(t, "day")
			day = cronField{strconv.Itoa(n), []int{n}}
		}
		month := rapid.SampledFrom([]cronField{{"*", nil}, {"3-11", []int{3, 4, 5, 6, 7, 8, 9, 10, 11}}, {"OCT,DEC,NOV,MAR,APR", []int{3, 4, 10, 11, 12}}}).Draw(t, "month")

		var instants []time.Time
		for wall := w.from; wall.Before(w.to); wall = wall.Add(time.Minute) {
			days := day.has(wall.Day()) && weekday.has(int(wall.Weekday()))
			if day.values != nil && weekday.values != nil {
				// As every cron has it: either of the two.
				days = day.has(wall.Day()) || weekday.has(int(wall.Weekday()))
			}
			if days && minute.has(wall.Minute()) && hour.has(wall.Hour()) && month.has(int(wall.Month())) {
				instants = append(instants, w.shown[wall])
			}
		}
		slices.SortFunc(instants, time.Time.Compare)

		r := recurrence{strings.Join([]string{minute.text, hour.text, day.text, month.text, weekday.text}, " "), zones[i]}
		for range 5 {
			at := w.shown[w.from].Add(time.Duration(rapid.Int64Range(0, int64(4*24*time.Hour/time.Millisecond)).Draw(t, "after")) * time.Millisecond)
			if rapid.Bool().Draw(t, "on an occurrence") && len(instants) > 0 {
				at = rapid.SampledFrom(instants).Draw(t, "occurrence")
			}
			next := slices.IndexFunc(instants, func(x time.Time) bool { return x.After(at) })
			got, ok := r.next(at)
			if next < 0 {
				// Behind the end of what was tried, or never.
				if last := w.shown[w.to.Add(-time.Minute)]; ok && got.Before(last) {
					t.Fatalf("%s in %s after %s: got %s, expected none before %s", r.expression, changes[i].zone, at.UTC(), got.UTC(), last)
				}
				continue
			}
			compared++
			if !ok || !got.Equal(instants[next]) {
				t.Fatalf("%s in %s after %s: got %s (%t), expected %s", r.expression, changes[i].zone, at.UTC(), got.UTC(), ok, instants[next])
			}
		}
	})
	if compared == 0 {
		t.Fatal("nothing was compared")
	}
}

func TestSchedules(t *testing.T) {
	const form = time.RFC3339
	for _, test := range []struct{ schedule, after, want string }{
		{`at: "2026-11-27T09:00"`, "2026-01-01T00:00:00Z", "2026-11-27T09:00:00Z"},
		{`at: "2026-11-27 09:00:30", timezone: Asia/Seoul`, "2026-01-01T00:00:00Z", "2026-11-27T00:00:30Z"},
		{`at: 2026-11-27T09:00, timezone: America/New_York`, "2026-01-01T00:00:00Z", "2026-11-27T14:00:00Z"},
		{`at: "2026-11-27T09:00"`, "2026-11-27T09:00:00Z", ""},
		// 02:30 is skipped in New York and Berlin, and comes an hour later.
		{`at: "2026-03-08T02:30", timezone: America/New_York`, "2026-01-01T00:00:00Z", "2026-03-08T07:30:00Z"},
		{`at: "2026-03-29T02:30", timezone: Europe/Berlin`, "2026-01-01T00:00:00Z", "2026-03-29T01:30:00Z"},
		// 02:30 comes twice in Berlin, 01:30 in New York: the first counts.
		{`at: "2026-10-25T02:30", timezone: Europe/Berlin`, "2026-01-01T00:00:00Z", "2026-10-25T00:30:00Z"},
		{`at: "2026-11-01T01:30", timezone: America/New_York`, "2026-01-01T00:00:00Z", "2026-11-01T05:30:00Z"},
		{`cron: "0 9 24 12 *"`, "2026-12-24T09:00:00Z", "2027-12-24T09:00:00Z"},
		{`cron: "30 2 * * *", timezone: Europe/Berlin`, "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		{`cron: "30 2 * * *", timezone: Europe/Berlin`, "2026-03-29T01:10:00Z", "2026-03-29T01:30:00Z"},
		{`cron: "30 2 * * *", timezone: Europe/Berlin`, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{`cron: "0 0 29 2 *"`, "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{`cron: "0 8 L * *"`, "2026-02-01T00:00:00Z", "2026-02-28T08:00:00Z"},
		{`cron: "0 8 * * MON#1"`, "2026-02-03T00:00:00Z", "2026-03-02T08:00:00Z"},
		{`cron: "0 8 * * 5L"`, "2026-02-01T00:00:00Z", "2026-02-27T08:00:00Z"},
		{`cron: "0 8 15W * *"`, "2026-02-01T00:00:00Z", "2026-02-16T08:00:00Z"}, // the 15th is a Sunday
		{`cron: "0 9 * * mon-fri", timezone: Asia/Seoul`, "2026-11-27T00:00:00Z", "2026-11-30T00:00:00Z"},
	} {
		text := fmt.Sprintf("rules:\n  - name: r\n    schedule: {%s}\n    send: {channel: c, class: ad, template: t}\n", test.schedule)
		s := parseText(t, text, false)
		after, err := time.Parse(form, test.after)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if next, ok := s.Rules[0].Schedule.Next(after.UnixMilli()); ok {
			got = time.UnixMilli(next).UTC().Format(form)
		}
		if got != test.want {
			t.Errorf("%s after %s: got %q, expected %q", test.schedule, test.after, got, test.want)
		}
	}
}

// Whether an expression is refused does not depend on the hour of the day.
func TestCronIsCheckedInFull(t *testing.T) {
	for _, cron := range []string{
		"60 * * * *", "0-5,99 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "* * * * FOO",
		"* * * FOO *", "* * * *", "* * * * * *", "@daily", "a b c d e", "*/ * * * *", "1,,2 * * * *", "* * 30 2 *", "* * 31 4,6,9,11 *", "* * 0W * *", "* * * * 9#1",
		"* * 99W * *", "*-5 * * * *", "* * * * 8L",
	} {
		text := fmt.Sprintf("rules:\n  - name: r\n    schedule: {cron: %q}\n    send: {channel: c, class: ad, template: t}\n", cron)
		if _, err := Parse([]File{{"cron.yaml", []byte(text)}}); err == nil || !strings.Contains(err.Error(), "cron: ") {
			t.Errorf("%s: got %v, expected a problem with the cron expression", cron, err)
		}
	}
}

func TestZones(t *testing.T) {
	z := newZones()
	for _, name := range []string{"", "Local", "Nowhere/Town", "../etc/passwd", "/etc/localtime", `\`, strings.Repeat("x", 100), "Asia", "\x00"} {
		for range 2 {
			if zone := z.find(name); zone != nil {
				t.Errorf("%q is the zone %s", name, zone)
			}
		}
	}
	for _, name := range append([]string{"UTC", "Etc/GMT+3"}, commonZones...) {
		first := z.find(name)
		if first == nil || first.String() != name {
			t.Errorf("%q: got %v", name, first)
		}
		if z.find(name) != first {
			t.Errorf("%q is loaded twice", name)
		}
	}
	for i := range 2 * maxZones {
		z.find("No/Zone" + strconv.Itoa(i))
	}
	if len(z.known) > maxZones {
		t.Errorf("%d names are remembered, at most %d should be", len(z.known), maxZones)
	}
	if z.find("Asia/Tokyo") == nil {
		t.Error("a zone that is not remembered is not found")
	}
}
