package decisions_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// What the daemon writes is what is read.
func TestParseReadsWhatIsWritten(t *testing.T) {
	d := rules.Decision{
		Outcome: rules.Sent, CommandID: rules.CommandID{0x9f, 15: 1}, Rule: "cart", User: "Ünï \"1\"\n", Instance: "k",
		Experiment: "coupon", Arm: "treatment", Send: &rules.Send{Channel: "push"},
		Data:    []rules.Datum{{Name: "user", Value: rules.StringValue("somebody else")}},
		Trigger: rules.Trigger{ID: "e", Time: 1_767_225_600_123}, Due: 1_767_225_600_123, At: 1_767_225_601_456,
	}
	var got decisions.Decision
	if err := got.Parse(sinks.AppendDecision(nil, &d, sinks.Origin{})); err != nil {
		t.Fatal(err)
	}
	if string(got.Kind) != "sent" || string(got.CommandID) != d.CommandID.String() || string(got.Rule) != d.Rule || string(got.User) != d.User ||
		string(got.Experiment) != d.Experiment || string(got.Arm) != d.Arm || got.Fired != d.At || got.Phase != 1 || got.Again || got.Value != 0 {
		t.Errorf("read %+v", got)
	}
}

func TestParseConverted(t *testing.T) {
	var d decisions.Decision
	const head = `{"decision":"converted","user":"u","experiment":"e","fired":"2026-01-01T00:00:00Z"`
	for more, want := range map[string]struct {
		value float64
		again bool
		phase int
	}{
		`}`:                                     {0, false, 1},
		`,"value":12.5,"phase":3,"again":true}`: {12.5, true, 3},
		`,"value":null}`:                        {0, false, 1},
		`,"value":7,"unknown":{"value":[1]}}`:   {7, false, 1},
	} {
		if err := d.Parse([]byte(head + more)); err != nil || d.Value != want.value || d.Again != want.again || d.Phase != want.phase {
			t.Errorf("%s: %+v, %v", more, d, err)
		}
	}
}

func TestLines(t *testing.T) {
	const good = `{"decision":"sent","user":"u","fired":"2026-01-01T00:00:00Z"}`
	text := "\xef\xbb\xbf" + good + "\r\n\n" + `{"user":"u"}` + "\nnonsense\n" + `{"decision":"sent","user":"u","fired":"today"}` + "\n" + good
	var complaints []string
	seen := 0
	err := decisions.Lines("d.jsonl", strings.NewReader(text), func(*decisions.Decision) error { seen++; return nil },
		func(err error) { complaints = append(complaints, err.Error()) })
	if err != nil || seen != 2 || len(complaints) != 3 {
		t.Fatalf("%d read, %q, %v", seen, complaints, err)
	}
	for i, want := range []string{"d.jsonl:3: ", "d.jsonl:4: ", "d.jsonl:5: "} {
		if !strings.HasPrefix(complaints[i], want) {
			t.Errorf("%q, want it to begin with %q", complaints[i], want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"decision":"sent","user":"u","fired":"2026-01-01T00:00:00Z","phase":2,"value":1e400}`))
	f.Add([]byte(`{"decision":1}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		var d, again decisions.Decision
		err := d.Parse(bytes.Clone(message))
		// What was there before makes no difference.
		again.Kind, again.User, again.Phase = []byte("x"), []byte("y"), 9
		if errAgain := again.Parse(message); (err == nil) != (errAgain == nil) || err == nil && (string(d.User) != string(again.User) || d.Phase != again.Phase) {
			t.Fatalf("%q: %+v (%v), then %+v (%v)", message, d, err, again, errAgain)
		}
	})
}
