package report

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/internal/outcomes"
)

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyDecisions writes what the daemon would, for so many users of whom 2 %
// (control) and 2.4 % convert.
func manyDecisions(w io.Writer, users int) error {
	random := rand.New(rand.NewPCG(1, 2))
	out := bufio.NewWriterSize(w, 1<<16)
	const tail = `"channel":"push","class":"ad","template":"cart_coupon_10","data":{"product":"Water 2L","until":"2026-01-09T00:00:00Z"},` +
		`"trigger":{"id":"e%d","type":"add_to_cart","time":"%s","topic":"events","partition":3,"offset":%d},"due":"%s","fired":"%s",` +
		`"rules_version":"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}` + "\n"
	line := func(kind, arm string, user int, value string, at int64) {
		text := moment(at)
		fmt.Fprintf(out, `{"command_id":"%016x%016x","decision":"%s","rule":"cart_abandoned","user":"user-%d","instance":"","step":0,"experiment":"cart_coupon","phase":1,"arm":"%s",%s`,
			random.Uint64(), random.Uint64(), kind, user, arm, value)
		fmt.Fprintf(out, tail, user, text, user, text, text)
	}
	for i := range users {
		kind, arm, rate := "sent", "treatment", 0.024
		if random.IntN(5) == 0 {
			kind, arm, rate = "control", "control", 0.02
		}
		at := 1_767_225_600_000 + random.Int64N(40*day)
		line(kind, arm, i, "", at)
		if random.Float64() < rate {
			line("converted", arm, i, fmt.Sprintf(`"value":%d,`, 1000+random.IntN(90_000)), at+1+random.Int64N(14*day))
		}
	}
	return out.Flush()
}

// A million exposed users are reported on within 10 s and 1 GB, the making of
// their decisions included. The time is the processor's: what else the machine
// does is not counted.
func TestMillionUsers(t *testing.T) {
	users := 1_000_000
	if raceEnabled { // which is slow, and wants memory of its own
		users = 10_000
	}
	began := processorTime(t)
	lines, w := io.Pipe()
	go func() { _ = w.CloseWithError(manyDecisions(w, users)) }()
	var book outcomes.Book
	if err := decisions.Lines("made up", lines, func(d *decisions.Decision) error { book.Add(d); return nil }, func(err error) { t.Fatal(err) }); err != nil {
		t.Fatal(err)
	}
	data, err := FromCohort(book.Cohorts()[0], Options{Window: 14 * day, At: book.Newest, Weights: map[string]float64{"control": 20, "treatment": 80}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(io.Discard, "html", []*Report{r}); err != nil {
		t.Fatal(err)
	}
	took := processorTime(t) - began
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%d exposed users in %.1f s, %d MB from the system", users, took.Seconds(), mem.Sys>>20)
	if got := r.Arms[0].ExposedAll + r.Arms[1].ExposedAll; got != users || r.Waiting == 0 || !r.SRM.OK {
		t.Errorf("%d exposed, want %d; %d not mature; %+v", got, users, r.Waiting, r.SRM)
	}
	if raceEnabled {
		return
	}
	if took > 10*time.Second || mem.Sys > 1<<30 {
		t.Errorf("it took %.1f s and %d MB, promised are 10 s and 1,024 MB", took.Seconds(), mem.Sys>>20)
	}
	if c := r.Comparisons[0]; c.Verdict != Better || c.Conversion.CI[0] > 0.004 || c.Conversion.CI[1] < 0.004 {
		t.Errorf("%s, %+v: want better, and 0.4 points inside", c.Verdict, c.Conversion)
	}
}
