package sinks_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// start is 2026-01-01T00:00:00.123Z, ms.
const start = int64(1_767_225_600_123)

const day = int64(86_400_000)

var origin = sinks.Origin{Topic: "events", RulesVersion: "sha256:ab"}

// sent is the decision of the documentation.
func sent() *rules.Decision {
	return &rules.Decision{
		Outcome: rules.Sent, CommandID: rules.CommandID{0x9f, 0x2c, 15: 1}, Rule: "cart_abandoned", User: "u1", Instance: "k1",
		Send:       &rules.Send{Channel: "push", Class: "ad", Template: "cart_coupon_10"},
		Experiment: "cart_coupon", Arm: "treatment",
		Data:    []rules.Datum{{Name: "product", Value: rules.StringValue("Water 2L")}},
		Trigger: rules.Trigger{ID: "e1", Time: start, Partition: 3, Offset: 991}, TriggerType: "add_to_cart",
		Due: start + 7*day, At: start + 7*day + 75, Expires: start + 8*day,
	}
}

const coordinates = `"trigger":{"id":"e1","type":"add_to_cart","time":"2026-01-01T00:00:00.123Z","topic":"events","partition":3,"offset":991},` +
	`"due":"2026-01-08T00:00:00.123Z","fired":"2026-01-08T00:00:00.198Z","expires":"2026-01-09T00:00:00.123Z","rules_version":"sha256:ab"}`

// The names of the fields and their order are what consumers are told.
func TestGoldenMessages(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(d *rules.Decision, o *sinks.Origin)
		decision bool
		want     string
	}{
		{
			"command", nil, false,
			`{"command_id":"9f2c0000000000000000000000000001","rule":"cart_abandoned","user":"u1","instance":"k1","step":0,"experiment":"cart_coupon","arm":"treatment",` +
				`"channel":"push","class":"ad","template":"cart_coupon_10","data":{"product":"Water 2L"},` + coordinates,
		},
		{
			"decision", nil, true,
			`{"command_id":"9f2c0000000000000000000000000001","decision":"sent","rule":"cart_abandoned","user":"u1","instance":"k1","step":0,"experiment":"cart_coupon","arm":"treatment",` +
				`"channel":"push","class":"ad","template":"cart_coupon_10","data":{"product":"Water 2L"},` + coordinates,
		},
		{
			"command of a rule with nothing that is optional, from a file", func(d *rules.Decision, o *sinks.Origin) {
				o.Topic = ""
				d.Experiment, d.Arm, d.Instance, d.Data, d.Expires = "", "", "", nil, 0
			}, false,
			`{"command_id":"9f2c0000000000000000000000000001","rule":"cart_abandoned","user":"u1","instance":"","step":0,"channel":"push","class":"ad","template":"cart_coupon_10","data":{},` +
				`"trigger":{"id":"e1","type":"add_to_cart","time":"2026-01-01T00:00:00.123Z","partition":3,"offset":991},` +
				`"due":"2026-01-08T00:00:00.123Z","fired":"2026-01-08T00:00:00.198Z","rules_version":"sha256:ab"}`,
		},
		{
			"decision with the values of its condition, and no data", func(d *rules.Decision, _ *sinks.Origin) {
				d.Outcome, d.Data, d.Experiment, d.Arm, d.Step = rules.Condition, nil, "", "", 2
				d.Because = []rules.Datum{{Name: "orders_30d", Value: rules.IntValue(1)}, {Name: "user.age", Value: rules.IntValue(20)}}
			}, true,
			`{"command_id":"9f2c0000000000000000000000000001","decision":"condition","rule":"cart_abandoned","user":"u1","instance":"k1","step":2,` +
				`"channel":"push","class":"ad","template":"cart_coupon_10","because":{"orders_30d":1,"user.age":20},` + coordinates,
		},
		{
			"command with a label, in a second phase", func(d *rules.Decision, _ *sinks.Origin) {
				d.Phase, d.Label = 2, "(광고)"
			}, false,
			`{"command_id":"9f2c0000000000000000000000000001","rule":"cart_abandoned","user":"u1","instance":"k1","step":0,"experiment":"cart_coupon","arm":"treatment","phase":2,` +
				`"channel":"push","class":"ad","template":"cart_coupon_10","label":"(광고)","data":{"product":"Water 2L"},` + coordinates,
		},
		{
			"conversion", func(d *rules.Decision, _ *sinks.Origin) {
				d.Outcome, d.Send, d.Data, d.Instance, d.Phase, d.Worth = rules.Converted, nil, nil, "", 1, rules.FloatValue(12.5)
			}, true,
			`{"command_id":"9f2c0000000000000000000000000001","decision":"converted","rule":"cart_abandoned","user":"u1","instance":"","step":0,"experiment":"cart_coupon","arm":"treatment",` +
				`"value":12.5,` + coordinates,
		},
		{
			"later conversion without a value", func(d *rules.Decision, _ *sinks.Origin) {
				d.Outcome, d.Send, d.Data, d.Instance, d.Phase, d.Again = rules.Converted, nil, nil, "", 3, true
			}, true,
			`{"command_id":"9f2c0000000000000000000000000001","decision":"converted","rule":"cart_abandoned","user":"u1","instance":"","step":0,"experiment":"cart_coupon","arm":"treatment","phase":3,` +
				`"again":true,` + coordinates,
		},
		{
			"decision on a rule that is gone", func(d *rules.Decision, _ *sinks.Origin) {
				d.Outcome, d.Send, d.Data, d.Experiment, d.Arm = rules.RuleRemoved, nil, nil, "", ""
			}, true,
			`{"command_id":"9f2c0000000000000000000000000001","decision":"rule_removed","rule":"cart_abandoned","user":"u1","instance":"k1","step":0,` + coordinates,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, o := sent(), origin
			if c.change != nil {
				c.change(d, &o)
			}
			got := string(appendMessage(nil, d, o, c.decision))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// It is appended to what is there.
			if after := string(appendMessage([]byte("before "), d, o, c.decision)); after != "before "+got {
				t.Errorf("appended: %s", after)
			}
		})
	}
}

func appendMessage(dst []byte, d *rules.Decision, o sinks.Origin, decision bool) []byte {
	if decision {
		return sinks.AppendDecision(dst, d, o)
	}
	return sinks.AppendCommand(dst, d, o)
}

// read takes a message as a consumer does; what Message does not know is an error.
func read(t interface{ Fatalf(string, ...any) }, text []byte) sinks.Message {
	var m sinks.Message
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%v: %.300s", err, text)
	}
	return m
}

// What was written is what is read, whatever the texts hold.
func TestMessageRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", `"`, `\`, "\x00\x01\x1f\x7f", "\t\r\n\b\f", "\u2028\u2029", "</script>&", "바람막이", "🧦", `{"a":1}`, "\ufffd",
	}))
	at := rapid.Int64Range(-62_135_596_800_000, 253_402_300_799_999)
	rapid.Check(t, func(t *rapid.T) {
		d := sent()
		d.Outcome = rapid.SampledFrom([]rules.Outcome{rules.Sent, rules.ControlArm}).Draw(t, "outcome")
		for _, p := range []*string{&d.Rule, &d.User, &d.Instance, &d.Experiment, &d.Arm, &d.Send.Channel, &d.Send.Template, &d.Trigger.ID, &d.TriggerType} {
			*p = text.Draw(t, "text")
		}
		d.Trigger.Partition, d.Trigger.Offset = rapid.Int32Min(0).Draw(t, "partition"), rapid.Int64Min(0).Draw(t, "offset")
		d.Due, d.At, d.Trigger.Time = at.Draw(t, "due"), at.Draw(t, "at"), at.Draw(t, "time")
		name, value := text.Draw(t, "name"), text.Draw(t, "value")
		d.Data = []rules.Datum{{Name: name, Value: rules.StringValue(value)}}
		d.Because = []rules.Datum{{Name: name, Value: rules.StringValue(value)}}

		for _, decision := range []bool{false, true} {
			out := appendMessage(nil, d, origin, decision)
			if !utf8.Valid(out) || bytes.ContainsAny(out, "\n\r") {
				t.Fatalf("not one line of UTF-8: %q", out)
			}
			m := read(t, out)
			want := []string{d.CommandID.String(), d.Rule, d.User, d.Instance, d.Experiment, d.Arm, d.Send.Channel, d.Send.Class, d.Send.Template, d.Trigger.ID, d.TriggerType, "events", "sha256:ab"}
			got := []string{m.CommandID, m.Rule, m.User, m.Instance, m.Experiment, m.Arm, m.Channel, m.Class, m.Template, m.Trigger.ID, m.Trigger.Type, m.Trigger.Topic, m.RulesVersion}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-written +read:\n%s", diff)
			}
			if m.Trigger.Partition != d.Trigger.Partition || m.Trigger.Offset != d.Trigger.Offset {
				t.Fatalf("read %d/%d", m.Trigger.Partition, m.Trigger.Offset)
			}
			for text, ms := range map[string]int64{m.Due: d.Due, m.Fired: d.At, m.Trigger.Time: d.Trigger.Time, m.Expires: d.Expires} {
				if v, ok := rules.StringValue(text).As(rules.Time); !ok || v.Int() != ms {
					t.Fatalf("the time %q is %d, want %d", text, v.Int(), ms)
				}
			}
			var data, because string
			if err := json.Unmarshal(m.Data[name], &data); err != nil || data != value {
				t.Fatalf("data[%q] is %q, %v, want %q", name, data, err, value)
			}
			if m.Decision != "" != decision || (m.Because != nil) != decision {
				t.Fatalf("a command and a decision are told apart wrongly: %s", out)
			}
			if !decision {
				continue
			}
			if err := json.Unmarshal(m.Because[name], &because); err != nil || because != value || m.Decision != string(d.Outcome) {
				t.Fatalf("because[%q] is %q, %v, want %q", name, because, err, value)
			}
		}
	})
}

// Each kind of value has one form.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		v    rules.Value
		want string
	}{
		{rules.StringValue("a\"b"), `"a\"b"`},
		{rules.IntValue(math.MinInt64), `-9223372036854775808`},
		{rules.IntValue(math.MaxInt64), `9223372036854775807`},
		{rules.FloatValue(0.1), `0.1`},
		{rules.FloatValue(-2), `-2`},
		{rules.FloatValue(1e300), `1e300`},
		{rules.FloatValue(math.NaN()), `null`},
		{rules.FloatValue(math.Inf(-1)), `null`},
		{rules.BoolValue(true), `true`},
		{rules.BoolValue(false), `false`},
		{rules.TimeValue(start), `"2026-01-01T00:00:00.123Z"`},
		{rules.JSONValue(`[{"a":[]}]`), `[{"a":[]}]`},
		{rules.Value{}, `null`},
	} {
		d := sent()
		d.Data = []rules.Datum{{Name: "first", Value: rules.IntValue(1)}, {Name: "v", Value: c.v}}
		m := read(t, sinks.AppendCommand(nil, d, origin))
		got := string(m.Data["v"])
		var a, b any
		if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(c.want), &b) != nil || !cmp.Equal(a, b) {
			t.Errorf("%v is %s, want %s", c.v, got, c.want)
		}
		if strings.ContainsAny(c.want, "9") && got != c.want {
			t.Errorf("%v is %s, want %s to the digit", c.v, got, c.want)
		}
	}
}

// A message above 900,000 bytes would be refused by brokers: it goes out without
// its data, and says so.
func TestOversizedDataIsDropped(t *testing.T) {
	size := func(n int, decision bool) []byte {
		d := sent()
		d.Data = []rules.Datum{{Name: "d", Value: rules.StringValue(strings.Repeat("x", n))}}
		return appendMessage([]byte("before "), d, origin, decision)[len("before "):]
	}
	for _, decision := range []bool{false, true} {
		room := sinks.MaxMessage - len(size(0, decision))
		for _, c := range []struct {
			n    int
			fits bool
		}{{room - 1, true}, {room, true}, {room + 1, false}, {5_000_000, false}} {
			out := size(c.n, decision)
			if got := !bytes.Contains(out, []byte(`"data_dropped":true`)); got != c.fits {
				t.Errorf("decision %v, %d bytes of data, %d of room: kept is %v", decision, c.n, room, got)
			}
			if kept := bytes.Contains(out, []byte(`"data":`)); kept != c.fits {
				t.Errorf("decision %v, %d bytes of data: there is data: %v", decision, c.n, kept)
			}
			if len(out) > sinks.MaxMessage || !json.Valid(out) {
				t.Errorf("decision %v: a message of %d bytes: %.200s", decision, len(out), out)
			}
		}
	}
	t.Run("what a condition read counts as well", func(t *testing.T) {
		d := sent()
		d.Outcome, d.Data = rules.Condition, nil
		d.Because = []rules.Datum{{Name: "user.bio", Value: rules.StringValue(strings.Repeat("x", sinks.MaxMessage))}}
		out := sinks.AppendDecision(nil, d, origin)
		if len(out) > sinks.MaxMessage || !bytes.Contains(out, []byte(`"data_dropped":true`)) || bytes.Contains(out, []byte("because")) {
			t.Errorf("%d bytes: %.300s", len(out), out)
		}
	})
	t.Run("a consumer sees the mark", func(t *testing.T) {
		m := read(t, size(5_000_000, false))
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(again, []byte(`"data_dropped":true`)) {
			t.Errorf("Message loses it: %s", again)
		}
	})
}
