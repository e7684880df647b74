package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/ruletest"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
	"github.com/nudged/nudged/sinks"
	"github.com/nudged/nudged/sinks/kafka"
)

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	b, err := JSON(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("urn:nudged:schema:"+name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:nudged:schema:" + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validJSON(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return s.Validate(doc)
}

func validYAML(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return validJSON(t, s, b)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// glob lists files; there have to be some.
func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Fatalf("no file matches %v", patterns)
	}
	return all
}

// Everything in examples is valid: rules by one schema, tests by the other.
func TestExamples(t *testing.T) {
	ruleSchema, testSchema := compile(t, "rules"), compile(t, "ruletest")
	rulesSeen, testsSeen := 0, 0
	for _, path := range glob(t, "../../examples/*/*.yaml") {
		text := read(t, path)
		switch {
		case rulefile.IsTestFile(path):
			testsSeen++
			if err := validYAML(t, testSchema, text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if validYAML(t, ruleSchema, text) == nil {
				t.Errorf("%s passes for a rule file", path)
			}
		case regexp.MustCompile(`(?m)^rules:`).Match(text):
			rulesSeen++
			if err := validYAML(t, ruleSchema, text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if validYAML(t, testSchema, text) == nil {
				t.Errorf("%s passes for rule tests", path)
			}
		}
	}
	if rulesSeen < 2 || testsSeen < 2 {
		t.Errorf("only %d rule files and %d test files seen", rulesSeen, testsSeen)
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// Whatever rule file the documentation shows and the compiler takes, the schema
// takes as well.
func TestRuleFilesOfTheDocumentation(t *testing.T) {
	s := compile(t, "rules")
	seen := 0
	for _, path := range glob(t, "../../docs/*.md", "../../README.md") {
		for _, block := range yamlBlock.FindAllSubmatch(read(t, path), -1) {
			if _, err := rulefile.Parse([]rulefile.File{{Name: path, Text: block[1]}}); err != nil {
				continue
			}
			seen++
			if err := validYAML(t, s, block[1]); err != nil {
				t.Errorf("%s: %v\n%s", path, err, block[1])
			}
		}
	}
	if seen < 3 {
		t.Errorf("only %d rule files found in the documentation", seen)
	}
}

// The mistakes that are about keys are mistakes under the schema as well.
func TestRuleFilesWithWrongKeys(t *testing.T) {
	s := compile(t, "rules")
	seen := 0
	for _, path := range glob(t, "../../rules/rulefile/testdata/errors/*.golden") {
		message := string(read(t, path))
		if !strings.Contains(message, "has no key") {
			continue
		}
		text := read(t, strings.TrimSuffix(path, ".golden")+".yaml")
		var doc any
		if yaml.Unmarshal(text, &doc) != nil {
			continue
		}
		seen++
		if validYAML(t, s, text) == nil {
			t.Errorf("%s passes:\n%s", path, text)
		}
	}
	if seen < 10 {
		t.Errorf("only %d wrong files seen", seen)
	}
}

func TestWrongRuleFiles(t *testing.T) {
	s := compile(t, "rules")
	const send = "send: {channel: push, class: ad, template: t}"
	if err := validYAML(t, s, []byte("rules: [{name: x, on: y, wait: 1d12h, "+send+"}]")); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"rule: []", "rules: {name: x}", "rules: [{on: y, " + send + "}]", "rules: [{name: x, " + send + "}]", "rules: [{name: x, on: y}]",
		"rules: [{name: x, on: [], " + send + "}]", "rules: [{name: x, on: y, wait: 7, " + send + "}]", "rules: [{name: x, on: y, wait: 1x, " + send + "}]",
		"rules: [{name: x, on: y, steps: [{wait: 1d, " + send + "}]}]", "rules: [{name: x, on: y, restart: yess, " + send + "}]",
		"rules: [{name: x, on: y, schedule: {cron: '* * * * *'}, " + send + "}]", "rules: [{name: x, schedule: {at: tomorrow}, " + send + "}]",
		"rules: [{name: x, on: y, send: {channel: push, class: adv, template: t}}]", "metrics: {m: {within: 1d}}", "metrics: {m: {count: a, last: b}}",
		"attributes: {a: {type: integer, from: event.a, on: b}}", "experiments: {x: {arms: [{name: a, weight: 0}]}}", "holdout: {percent: 101, salt: x}",
		"policy: {quiet_hours: {class: ad, from: '25:00', to: '08:00'}}", "policy: {profile: us}",
	} {
		if validYAML(t, s, []byte(text)) == nil {
			t.Errorf("passes: %s", text)
		}
	}
}

// The keys of the schema are those of the tables that the compiler goes by.
func TestRuleKeys(t *testing.T) {
	root := decoded(t, "rules")
	defs := root["$defs"].(object)
	for i, table := range rulefile.KeyTables() {
		o := root
		if i > 0 {
			o, _ = defs[table.Name].(object)
		}
		var want, required []string
		for _, k := range table.Keys {
			want = append(want, k.Name)
			if k.Required {
				required = append(required, k.Name)
			}
		}
		requireKeys(t, table.Name, o, want, required)
	}
	if len(defs) != len(rulefile.KeyTables())-1 {
		t.Errorf("%d definitions, %d tables", len(defs), len(rulefile.KeyTables()))
	}
}

func TestRuleTestKeys(t *testing.T) {
	root := decoded(t, "ruletest")
	defs := root["$defs"].(object)
	requireKeys(t, "file", root, ruletest.FileKeys, []string{"rules", "tests"})
	requireKeys(t, "test", defs["test"].(object), ruletest.TestKeys, []string{"events", "name"})
	requireKeys(t, "event", defs["event"].(object), append([]string{"time"}, ruletest.EventKeys...), []string{"at", "type", "user"})
	requireKeys(t, "expectation", defs["expectation"].(object), ruletest.ExpectKeys(), nil)
	s := compile(t, "ruletest")
	for _, text := range []string{
		"rules: r\ntests: [{name: x, events: [{at: 0s, type: a, user: u, time: x}], expect: []}]", "rules: r\ntests: [{name: x, events: [{at: soon, type: a, user: u}]}]",
		"rules: r\ntests: [{name: x, events: [], expect: [{decision: send}]}]", "rules: r\ntests: [{name: x, events: [], expect: [{}]}]",
		"rules: r\ntests: [{name: x, events: [], holdout: true}]", "rules: r\ntests: [{name: x, event: []}]", "tests: []",
	} {
		if validYAML(t, s, []byte(text)) == nil {
			t.Errorf("passes: %s", text)
		}
	}
}

func decoded(t *testing.T, name string) object {
	t.Helper()
	b, err := JSON(name)
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func requireKeys(t *testing.T, what string, o object, want, required []string) {
	t.Helper()
	properties, _ := o["properties"].(object)
	var got []string
	for k := range properties {
		got = append(got, k)
	}
	var needed []string
	list, _ := o["required"].([]any)
	for _, k := range list {
		needed = append(needed, k.(string))
	}
	want, required = slices.Clone(want), slices.Clone(required)
	slices.Sort(got)
	slices.Sort(want)
	slices.Sort(needed)
	slices.Sort(required)
	if !slices.Equal(got, want) || !slices.Equal(needed, required) {
		t.Errorf("%s: keys %v, want %v; required %v, want %v", what, got, want, needed, required)
	}
}

// Whoever adds a key describes it.
func TestEverythingIsDescribed(t *testing.T) {
	for _, name := range Names() {
		if Title(name) == "" {
			t.Errorf("%s has no title", name)
		}
		var walk func(path string, o object)
		walk = func(path string, o object) {
			for key, v := range o {
				child, ok := v.(object)
				if !ok {
					continue
				}
				if key != "properties" {
					walk(path+"/"+key, child)
					continue
				}
				for k, p := range child {
					if p, ok := p.(object); ok { // false: a key that must not be there
						if p["description"] == nil {
							t.Errorf("%s%s/%s has no description", name, path, k)
						}
						walk(path+"/"+k, p)
					}
				}
			}
		}
		walk("", decoded(t, name))
	}
	used := map[string]bool{}
	var walk func(t reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		if typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			walk(typ.Elem(), path+map[bool]string{true: ".*"}[typ.Kind() == reflect.Slice])
			return
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
			below := strings.TrimPrefix(path+"."+key, ".")
			used[below] = true
			if i := strings.Index(below, ".tls."); i >= 0 {
				used["*"+below[i:]] = true
			}
			walk(typ.Field(i).Type, below)
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
	for key := range configDocs {
		if !used[key] {
			t.Errorf("the configuration has no key %s, but it is described", key)
		}
	}
	for key := range configWords {
		if !used[key] {
			t.Errorf("the configuration has no key %s, but its words are listed", key)
		}
	}
}

func TestConfigurations(t *testing.T) {
	s := compile(t, "config")
	for _, path := range glob(t, "../../deploy/*/nudged.yaml") {
		if err := validYAML(t, s, read(t, path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	full := config.Default()
	full.Sinks = []config.Sink{{Kafka: &struct{}{}}, {Stdout: &struct{}{}}}
	full.Kafka.TLS = config.TLS{Enabled: true, CAFile: "ca.pem"}
	full.Kafka.SASL = config.SASL{Mechanism: "PLAIN", Username: "u", Password: "p"}
	printed, err := config.Print(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := validYAML(t, s, []byte(printed)); err != nil {
		t.Errorf("%v\n%s", err, printed)
	}
	for _, wrong := range []string{
		"kafak: {}", "kafka: {broker: a:1}", "kafka: {brokers: a:1}", "clock: Wall", "commit_interval: 100", "commit_interval: 1 s", "stop_at_end: maybe",
		"http: {addr: localhost}", "sinks: [{kafka: {}, stdout: {}}]", "sinks: [{}]", "sinks: [{webhook: {}}]", "kafka: {tls: {enable: true}}", "cache_bytes: 1.5",
		"log: {level: trace}", "input: {field: {user: u}}",
	} {
		if validYAML(t, s, []byte(wrong)) == nil {
			t.Errorf("passes: %s", wrong)
		}
	}
}

// tags lists the JSON names of a struct.
func tags(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

func TestMessageKeys(t *testing.T) {
	all := tags(reflect.TypeFor[sinks.Message]())
	requireKeys(t, "decision", decoded(t, "decision"), all, append(slices.Clone(always), "decision"))
	ofCommand := slices.DeleteFunc(slices.Clone(all), func(k string) bool { return decisionDocs[k] != "" })
	requireKeys(t, "command", decoded(t, "command"), ofCommand, append(slices.Clone(always), "channel", "class", "template"))
	trigger := decoded(t, "decision")["properties"].(object)["trigger"].(object)
	requireKeys(t, "trigger", trigger, tags(reflect.TypeFor[sinks.Trigger]()), []string{"id", "type", "time", "partition", "offset"})
}

var version = "sha256:" + strings.Repeat("ab", 32)

// Every message that the sinks write is valid; with a key more, one less, or a
// decision that there is not, it is not.
func TestRealMessages(t *testing.T) {
	commands, decisions := compile(t, "command"), compile(t, "decision")
	outcomes := append(ruletest.Outcomes(), "armed", "auto_paused")
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[a-zA-Zü"\\ ]{0,8}`)
		value := rapid.OneOf(rapid.Just(rules.Value{}), rapid.Just(rules.BoolValue(true)), rapid.Just(rules.IntValue(7)), rapid.Just(rules.FloatValue(2.5)),
			rapid.Just(rules.StringValue("x")), rapid.Just(rules.TimeValue(1)), rapid.Just(rules.JSONValue(`{"a":[1]}`)))
		data := rapid.SliceOfNDistinct(rapid.Custom(func(rt *rapid.T) rules.Datum {
			return rules.Datum{Name: rapid.StringMatching("[a-z]{1,3}").Draw(rt, "name"), Value: value.Draw(rt, "value")}
		}), 0, 3, func(d rules.Datum) string { return d.Name })
		moment := rapid.Int64Range(0, 4_000_000_000_000)
		d := rules.Decision{
			Outcome: rules.Outcome(rapid.SampledFrom(outcomes).Draw(rt, "outcome")), CommandID: rules.NewCommandID("r", "u", "k", 1, "e"),
			Rule: text.Draw(rt, "rule"), User: text.Draw(rt, "user"), Instance: text.Draw(rt, "instance"), Step: rapid.IntRange(0, 9).Draw(rt, "step"),
			Send:       &rules.Send{Channel: text.Draw(rt, "channel"), Class: rapid.SampledFrom([]string{"ad", "transactional"}).Draw(rt, "class"), Template: text.Draw(rt, "template")},
			Experiment: text.Draw(rt, "experiment"), Arm: text.Draw(rt, "arm"), Phase: rapid.IntRange(0, 3).Draw(rt, "phase"), Label: text.Draw(rt, "label"),
			Data: data.Draw(rt, "data"), Because: data.Draw(rt, "because"), Trigger: rules.Trigger{
				ID: text.Draw(rt, "id"), Time: moment.Draw(rt, "time"),
				Partition: rapid.Int32Range(0, 99).Draw(rt, "partition"), Offset: rapid.Int64Range(-1, 1<<40).Draw(rt, "offset"),
			},
			TriggerType: text.Draw(rt, "type"), Due: moment.Draw(rt, "due"), At: moment.Draw(rt, "at"), Expires: moment.Draw(rt, "expires"),
		}
		if d.Outcome == rules.Converted {
			d.Worth, d.Again = rapid.SampledFrom([]rules.Value{{}, rules.IntValue(3), rules.FloatValue(3.5)}).Draw(rt, "worth"), rapid.Bool().Draw(rt, "again")
		}
		d.First = rapid.Bool().Draw(rt, "first")
		if d.Outcome == rules.GuardrailHit {
			d.Guardrail, d.Exposed = "left", moment.Draw(rt, "exposed")
		}
		o := sinks.Origin{Topic: rapid.SampledFrom([]string{"", "events"}).Draw(rt, "topic"), RulesVersion: version}
		sent := d
		sent.Outcome, sent.Worth, sent.Again = rules.Sent, rules.Value{}, false
		sent.Guardrail = ""
		command := sinks.AppendCommand(nil, &sent, o)
		if err := validJSON(t, commands, command); err != nil {
			rt.Fatalf("%v\n%.2000s", err, command)
		}
		if rapid.Bool().Draw(rt, "gone") {
			d.Send = nil
		}
		decision := sinks.AppendDecision(nil, &d, o)
		if err := validJSON(t, decisions, decision); err != nil {
			rt.Fatalf("%v\n%.2000s", err, decision)
		}
		if validJSON(t, commands, decision) == nil {
			rt.Fatalf("passes for a command: %s", decision)
		}
		for _, spoil := range []func(m object){
			func(m object) { m["extra"] = 1 }, func(m object) { delete(m, "rule") }, func(m object) { m["decision"] = "send" }, func(m object) { m["due"] = "today" },
			func(m object) { m["step"] = -1 }, func(m object) { m["command_id"] = "x" }, func(m object) { m["trigger"].(object)["extra"] = 1 },
			func(m object) { delete(m["trigger"].(object), "offset") }, func(m object) { m["rules_version"] = "" },
		} {
			var m object
			if err := json.Unmarshal(decision, &m); err != nil {
				rt.Fatal(err)
			}
			spoil(m)
			b, err := json.Marshal(m)
			if err != nil {
				rt.Fatal(err)
			}
			if validJSON(t, decisions, b) == nil {
				rt.Fatalf("passes: %s", b)
			}
		}
	})
}

func TestLargeMessages(t *testing.T) {
	d := rules.Decision{
		Outcome: rules.Sent, Send: &rules.Send{Channel: "push", Class: "ad", Template: "t"},
		Data: []rules.Datum{{Name: "much", Value: rules.StringValue(strings.Repeat("x", sinks.MaxMessage))}},
	}
	o := sinks.Origin{RulesVersion: version}
	if err := validJSON(t, compile(t, "command"), sinks.AppendCommand(nil, &d, o)); err != nil {
		t.Error(err)
	}
	if err := validJSON(t, compile(t, "decision"), sinks.AppendDecision(nil, &d, o)); err != nil {
		t.Error(err)
	}
}

func TestDeadLetters(t *testing.T) {
	s := compile(t, "dead-letter")
	layout := kafka.Layout{DeadLetters: "dead", DeadLetterPartitions: 1}
	for name, size := range map[string]int{"small": 3, "cut": kafka.MaxDeadLetter + 1} {
		headers := object{}
		for _, h := range layout.DeadLetter("events", 3, 991, "not JSON", nil, make([]byte, size), []sinks.Header{{Key: "own", Value: []byte("x")}}).Headers {
			headers[h.Key] = string(h.Value)
		}
		b, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		if err := validJSON(t, s, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(headers, kafka.ErrorHeader)
		if b, _ = json.Marshal(headers); validJSON(t, s, b) == nil {
			t.Errorf("%s passes without a reason", name)
		}
	}
}

func TestUnknownSchema(t *testing.T) {
	if _, err := JSON("rule"); err == nil || !strings.Contains(err.Error(), "ruletest") {
		t.Errorf("error %v", err)
	}
}
