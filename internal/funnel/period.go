package funnel

import (
	"fmt"
	"time"
)

// Period is a stretch of the calendar, in UTC.
type Period string

// The periods there are. A week begins on Monday.
const (
	None  Period = ""
	Day   Period = "day"
	Week  Period = "week"
	Month Period = "month"
)

// ParsePeriod reads the name of a period.
func ParsePeriod(s string) (Period, error) {
	switch p := Period(s); p {
	case None, Day, Week, Month:
		return p, nil
	}
	return None, fmt.Errorf("there is no period %q: use day, week or month", s)
}

const dayMillis = 86_400_000

// dayOf numbers the days.
func dayOf(at int64) int64 {
	d := at / dayMillis
	if at%dayMillis < 0 {
		d--
	}
	return d
}

// of numbers the periods: equal numbers are the same period.
func (p Period) of(at int64) int64 {
	switch p {
	case Day:
		return dayOf(at)
	case Week:
		d := dayOf(at) + 3 // 1970-01-01 was a Thursday
		if d < 0 {
			d -= 6
		}
		return d / 7
	case Month:
		t := time.UnixMilli(at).UTC()
		return int64(t.Year())*12 + int64(t.Month()) - 1
	}
	return 0
}

// start is the first moment of the numbered period.
func (p Period) start(n int64) time.Time {
	switch p {
	case Week:
		return time.UnixMilli((n*7 - 3) * dayMillis).UTC()
	case Month:
		return time.Date(int(n/12), time.Month(n%12)+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.UnixMilli(n * dayMillis).UTC()
}
