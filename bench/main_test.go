package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/redistest"
)

// The test binary is the benchmark when it starts itself, and the stand-in when
// it is started as nudged.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case measuredName, decodeName, ctpName:
			os.Exit(exitCode(dispatch(context.Background(), os.Args[1:], os.Stdout), os.Stderr))
		case "run":
			os.Exit(exitCode(standIn(os.Args[1:]), os.Stdout))
		}
	}
	os.Exit(m.Run())
}

// withServices names a Kafka, the real one where there is one, and a Redis of
// the test's own.
func withServices(t *testing.T) {
	t.Helper()
	r := redistest.Start(t)
	t.Setenv("NUDGED_TEST_REDIS", r.Addr)
	t.Setenv("NUDGED_REDIS_PID", fmt.Sprint(r.PID))
	withKafka(t)
}

func withKafka(t *testing.T) {
	t.Helper()
	if os.Getenv("NUDGED_TEST_KAFKA") != "" {
		return
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Setenv("NUDGED_TEST_KAFKA", strings.Join(c.ListenAddrs(), ","))
	t.Setenv("NUDGED_KAFKA_PID", fmt.Sprint(os.Getpid()))
}

func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := dispatch(t.Context(), args, &out)
	return out.String(), err
}

var smallRun = []string{"run", "-nudged", os.Args[0], "-events", "3000", "-users", "300", "-partitions", "3", "-repeat", "2", "-warm", "1"}

func TestRun(t *testing.T) {
	withServices(t)
	out, err := call(t, append(smallRun, "-json")...)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	if !rep.OK || len(rep.Rounds) != 2 || len(rep.WarmUps) != 1 || rep.Owed.Sends == 0 {
		t.Errorf("ok %v, %d rounds, %d warm-ups, %d sends owed", rep.OK, len(rep.Rounds), len(rep.WarmUps), rep.Owed.Sends)
	}
	for name, s := range rep.Summary {
		if s.EventsPerSec.Min <= 0 || s.CPU.Min <= 0 || s.PeakMB.Min <= 0 || s.CPU.Median > s.CPU.Max || s.BrokerCPU.Min < 0 {
			t.Errorf("%s: figures %+v", name, s)
		}
	}
	if len(rep.Summary) != 3 || rep.State == nil || rep.State.StoredUsers.Median != float64(rep.Owed.Users) || rep.State.BytesPerUser.Median <= 0 {
		t.Errorf("programs %d, state %+v of %d users", len(rep.Summary), rep.State, rep.Owed.Users)
	}
	var table bytes.Buffer
	if err := rep.writeTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"events/s", "CPU, broker", "bytes a user", "verified, warm-up 1", "verified, round 2"} {
		if !strings.Contains(table.String(), part) {
			t.Errorf("the table lacks %q:\n%s", part, table.String())
		}
	}
}

func TestRunFindsWhatIsWrong(t *testing.T) {
	withServices(t)
	t.Setenv("TMPDIR", t.TempDir())
	for fault, find := range map[string]func(v oracle.Verdict) int{
		"missing": func(v oracle.Verdict) int { return v.Missing },
		"twice":   func(v oracle.Verdict) int { return v.Twice },
	} {
		t.Setenv(faultVariable, fault)
		out, err := call(t, append(smallRun, "-json", "-repeat", "1", "-warm", "0")...)
		if !errors.Is(err, errVerification) || exitCode(err, io.Discard) != 1 {
			t.Errorf("%s: error %v, want that verification failed, and exit code 1", fault, err)
		}
		var rep report
		if err := json.Unmarshal([]byte(out), &rep); err != nil {
			t.Fatal(err)
		}
		if rep.OK || find(*rep.Rounds[0].Verdict) != 1 {
			t.Errorf("%s: %v", fault, rep.Rounds[0].Verdict)
		}
	}
}

// A nudged that fails gives no figures, but its own words.
func TestRunTellsWhyNudgedFailed(t *testing.T) {
	withServices(t)
	t.Setenv("TMPDIR", t.TempDir()) // where the folder with the log stays
	t.Setenv(faultVariable, "exit")
	out, err := call(t, append(smallRun, "-repeat", "1", "-warm", "0")...)
	if err == nil || !strings.Contains(err.Error(), "the stand-in was told to fail") || out != "" {
		t.Errorf("error %v, output %q; want an error with the words of the program", err, out)
	}
}

func TestVerifyAKeptRun(t *testing.T) {
	withServices(t)
	t.Setenv("TMPDIR", t.TempDir())
	out, err := call(t, append(smallRun, "-json", "-repeat", "1", "-warm", "0", "-keep")...)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	topics := load.OutputTopics(rep.Tag + "-1")
	t.Cleanup(func() {
		all := append(topics.Outputs(), "bench-events-"+rep.Tag, "bench-ctp-"+rep.Tag+"-1")
		if err := load.Delete(context.Background(), strings.Split(os.Getenv("NUDGED_TEST_KAFKA"), ","), all...); err != nil {
			t.Error(err)
		}
	})
	verify := []string{"verify", "-events", "3000", "-users", "300", "-partitions", "3", "-sends", topics.Sends, "-decisions", topics.Decisions, "-dead-letters", topics.DeadLetters}
	if out, err := call(t, verify...); err != nil || !strings.HasPrefix(out, "verified") {
		t.Errorf("error %v, output %q", err, out)
	}
	out, err = call(t, append(verify, "-seed", "2", "-json")...)
	var v oracle.Verdict
	if jsonErr := json.Unmarshal([]byte(out), &v); !errors.Is(err, errVerification) || jsonErr != nil || v.Missing == 0 || v.Extra == 0 {
		t.Errorf("held against another workload: error %v, %v", err, v)
	}
}

func TestFloorsOnlyNeedsNoRedis(t *testing.T) {
	withKafka(t)
	t.Setenv("NUDGED_TEST_REDIS", "")
	t.Setenv("REDIS_PID", "")
	out, err := call(t, "run", "-floors-only", "-events", "2000", "-users", "100", "-partitions", "3", "-repeat", "1", "-warm", "0")
	if err != nil || !strings.Contains(out, "not measured") || strings.Contains(out, "verified") {
		t.Errorf("error %v, output:\n%s", err, out)
	}
}

func TestLive(t *testing.T) {
	withServices(t)
	out, err := call(t, "live", "-nudged", os.Args[0], "-rate", "400", "-seconds", "2", "-partitions", "3", "-warmup", "0s", "-json")
	if err != nil {
		t.Fatal(err, out)
	}
	var l live
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		t.Fatal(err)
	}
	if !l.OK || l.Verdict.Seen == 0 || l.FromProduce.Count != int64(l.Verdict.Seen) || l.FromEventTime.Count != l.FromProduce.Count {
		t.Errorf("%+v: want every send measured and verified", l)
	}
	if l.FromProduce.P50 <= 0 || l.FromProduce.Max < l.FromProduce.P99 || l.FromEventTime.Max < l.FromProduce.Max {
		t.Errorf("latencies %+v and %+v", l.FromProduce, l.FromEventTime)
	}
	t.Setenv(faultVariable, "exit")
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := call(t, "live", "-nudged", os.Args[0], "-rate", "10", "-seconds", "1", "-partitions", "1"); err == nil || !strings.Contains(err.Error(), "the stand-in was told to fail") {
		t.Errorf("error %v, want one with the words of the program", err)
	}
}

func TestExpectIsTheDocumentedWorkload(t *testing.T) {
	out, err := call(t, "expect", "-json", "-events", "20000", "-users", "2000")
	if err != nil {
		t.Fatal(err)
	}
	var o owed
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{oracle.SearchNoView, oracle.CartAbandoned, oracle.SignupNoView} {
		if d := o.ByRule[rule]; d.Sent == 0 || d.Control == 0 {
			t.Errorf("%s: %+v, want both arms", rule, d)
		}
		if !bytes.Contains(rulesFile, []byte("name: "+rule)) {
			t.Errorf("rules.yaml has no rule %s", rule)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, name := range []string{"NUDGED_TEST_KAFKA", "NUDGED_TEST_REDIS"} {
		t.Setenv(name, "")
	}
	notExecutable := filepath.Join(t.TempDir(), "nudged")
	if err := os.WriteFile(notExecutable, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"fly"}, `no command "fly"`},
		{[]string{"run", "-nudged", "/nonexistent"}, "make build"},
		{[]string{"run", "-nudged", notExecutable}, "make build"},
		{[]string{"run", "-nudged", os.Args[0]}, "with-services"},
		{[]string{"run", "-events", "0"}, "events"},
		{[]string{"run", "-repeat", "0"}, "-repeat"},
		{[]string{"run", "and", "more"}, `"and"`},
		{[]string{"run", "-unknown"}, "unknown"},
		{[]string{"live", "-rate", "0"}, "-rate"},
		{[]string{"verify"}, "-sends"},
		{[]string{"verify", "-sends", "a", "-decisions", "b", "-dead-letters", "c"}, "with-services"},
	} {
		_, err := call(t, tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || exitCode(err, io.Discard) != 2 {
			t.Errorf("%q: error %v (exit code %d), want %q and 2", tc.args, err, exitCode(err, io.Discard), tc.want)
		}
	}
	t.Setenv("NUDGED_TEST_KAFKA", "127.0.0.1:1")
	t.Setenv("NUDGED_KAFKA_PID", "many")
	if _, err := call(t, "verify", "-sends", "a", "-decisions", "b", "-dead-letters", "c"); err == nil || !strings.Contains(err.Error(), "NUDGED_KAFKA_PID") {
		t.Errorf("a pid that is none: %v", err)
	}
}

// Every record has a context of its own, and one in a hundred is sampled, if any.
func TestTraceparents(t *testing.T) {
	seen := map[string]bool{}
	for n := range 1000 {
		plain, some := string(traceparent(n, false)), string(traceparent(n, n%sampledOneIn == 0))
		if !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`).MatchString(plain) || strings.HasSuffix(some, "-01") != (n%100 == 0) || some[:53] != plain[:53] {
			t.Fatalf("record %d has %s and %s", n, plain, some)
		}
		seen[plain] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d contexts for 1000 records", len(seen))
	}
}

// Spans that are sent are counted; what is none is refused.
func TestSpansAreCounted(t *testing.T) {
	r, err := receiveSpans()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*tracev1.ResourceSpans{
		{ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{{Name: "a"}, {Name: "b"}}}, {Spans: []*tracev1.Span{{Name: "c"}}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body []byte
		want int
	}{{body, http.StatusOK}, {[]byte("nonsense"), http.StatusBadRequest}} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(c.body)))
		if w.Code != c.want || r.spans.Load() != 3 {
			t.Errorf("%q is answered with %d, %d spans are counted", c.body, w.Code, r.spans.Load())
		}
	}
}
