package report

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/nudged/nudged/rules/eventtime"
)

var english = message.NewPrinter(language.English)

// count writes a whole number with commas.
func count(n int) string { return english.Sprintf("%d", n) }

// amount writes a value: with two digits after the point, none from 1,000 on.
func amount(x float64) string {
	if math.Abs(x) >= 1000 {
		return english.Sprintf("%.0f", x)
	}
	return english.Sprintf("%.2f", x)
}

func signedAmount(x float64) string { return sign(x) + amount(math.Abs(x)) }

func sign(x float64) string {
	switch {
	case x < 0:
		return "-"
	case x > 0:
		return "+"
	}
	return ""
}

// percent writes a share with at least three digits that tell something.
func percent(x float64) string {
	switch p := math.Abs(x * 100); {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return english.Sprintf("%.4f %%", x*100)
	case p < 10:
		return english.Sprintf("%.2f %%", x*100)
	}
	return english.Sprintf("%.1f %%", x*100)
}

func signedPercent(x float64) string { return sign(x) + percent(math.Abs(x)) }

// points writes a difference of rates in percentage points.
func points(x float64) string {
	if p := math.Abs(x * 100); p != 0 && p < 0.1 {
		return english.Sprintf("%.4f", x*100)
	}
	return english.Sprintf("%.2f", x*100)
}

func signedPoints(x float64) string { return sign(x) + points(math.Abs(x)) }

func pvalue(p float64) string {
	switch {
	case p < 1e-4:
		return fmt.Sprintf("%.1e", p)
	case p > 0.9999:
		return "1"
	}
	return fmt.Sprintf("%.4f", p)
}

func oneIn(p float64) string {
	if p < 1e-9 {
		return "fewer than one in a billion"
	}
	return "one in " + english.Sprintf("%.0f", 1/p)
}

func moment(ms int64) string { return string(eventtime.AppendRFC3339(nil, ms)) }

// readable writes a moment for people.
func readable(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 UTC") }

// span writes a duration in the largest whole unit.
func span(ms int64) string {
	switch {
	case ms%day == 0:
		return plural(ms/day, "day")
	case ms%hour == 0:
		return plural(ms/hour, "hour")
	case ms%minute == 0:
		return plural(ms/minute, "minute")
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%s %ss", count(int(n)), unit)
}
