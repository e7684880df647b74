package naive

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// occurrence is one time at which a scheduled rule runs.
type occurrence struct {
	at   int64
	rule *Rule
}

// occurrences are those of all rules after one time and up to another, by time,
// then priority, then place in the file.
func (r *Run) occurrences(after, upTo int64) []occurrence {
	var all []occurrence
	for i := range r.spec.Rules {
		rule := &r.spec.Rules[i]
		if rule.Schedule == nil {
			continue
		}
		for _, at := range rule.Schedule.between(after, upTo) {
			all = append(all, occurrence{at, rule})
		}
	}
	slices.SortStableFunc(all, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.rule.Priority, a.rule.Priority))
	})
	return all
}

// between are the occurrences after one time and up to another.
func (s *Schedule) between(after, upTo int64) []int64 {
	zone := zoneOf(s.Timezone)
	if s.At != "" {
		local, err := time.Parse("2006-01-02T15:04", s.At)
		if err != nil {
			panic(err)
		}
		if t := instant(local, zone); t > after && t <= upTo {
			return []int64{t}
		}
		return nil
	}
	fields := strings.Fields(s.Cron)
	minutes, hours := cronField(fields[0], 0, 59), cronField(fields[1], 0, 23)
	days, months, weekdays := cronField(fields[2], 1, 31), cronField(fields[3], 1, 12), cronField(fields[4], 0, 7)
	var times []int64
	first := time.UnixMilli(after).UTC().AddDate(0, 0, -2)
	last := time.UnixMilli(upTo).UTC().AddDate(0, 0, 2)
	for day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC); !day.After(last); day = day.AddDate(0, 0, 1) {
		onDay, onWeekday := days[day.Day()], weekdays[int(day.Weekday())] || day.Weekday() == 0 && weekdays[7]
		// Where both are given either will do.
		fits := onDay && onWeekday
		if fields[2] != "*" && fields[4] != "*" {
			fits = onDay || onWeekday
		}
		if !fits || !months[int(day.Month())] {
			continue
		}
		for h := range 24 {
			for m := range 60 {
				if !hours[h] || !minutes[m] {
					continue
				}
				t := instant(day.Add(time.Duration(h)*time.Hour+time.Duration(m)*time.Minute), zone)
				if t > after && t <= upTo {
					times = append(times, t)
				}
			}
		}
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// instant is when the clocks of a zone show what local shows, which is written
// as if it were UTC: the first time if they do so twice. A time that they skip is
// taken with the offset of before.
func instant(local time.Time, zone *time.Location) int64 {
	offset := func(t time.Time) time.Duration {
		_, seconds := t.In(zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	before, after := offset(local.Add(-26*time.Hour)), offset(local.Add(26*time.Hour))
	first := local.Add(-max(before, after))
	for _, t := range []time.Time{first, local.Add(-min(before, after))} {
		if t.Add(offset(t)).Equal(local) {
			return t.UnixMilli()
		}
	}
	return local.Add(-before).UnixMilli()
}

// cronField is the set of numbers that a field of a cron line means.
func cronField(text string, low, high int) map[int]bool {
	set := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		by := 1
		if stepped {
			by = atoi(step)
		}
		from, to := low, high
		if span != "*" {
			a, b, ranged := strings.Cut(span, "-")
			from, to = atoi(a), atoi(a)
			switch {
			case ranged:
				to = atoi(b)
			case stepped:
				to = high
			}
		}
		for n := from; n <= to; n += by {
			set[n] = true
		}
	}
	return set
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}
