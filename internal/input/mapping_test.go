package input

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ptr(s string) *string { return &s }

func TestParseMapping(t *testing.T) {
	full := Mapping{
		Format:     "csv",
		Fields:     Fields{User: "user_id", Time: "event_time", Type: "event_type", ID: ptr("")},
		TimeFormat: "2006-01-02 15:04:05 MST",
		Types:      map[string]string{"view": "product_view", "cart": "add_to_cart"},
	}
	const fullText = `format: csv
fields: {user: user_id, time: event_time, type: event_type, id: ""}
time_format: "2006-01-02 15:04:05 MST"
types: {view: product_view, cart: add_to_cart}
`
	indented := "  " + strings.ReplaceAll(strings.TrimSpace(fullText), "\n", "\n  ") + "\n"
	for name, c := range map[string]struct {
		yaml string
		want Mapping
	}{
		"itself":             {fullText, full},
		"under input":        {"input:\n" + indented, full},
		"in a configuration": {"# all of it\nkafka: {brokers: [\"127.0.0.1:9092\"]}\ninput:\n" + indented + "rules: ./rules\n", full},
		"bare input":         {"input:\n", Mapping{}},
		"one key":            {"format: flat", Mapping{Format: "flat"}},
		"id not mentioned":   {"fields: {user: u}", Mapping{Fields: Fields{User: "u"}}},
		"id empty":           {"fields: {id: ''}", Mapping{Fields: Fields{ID: ptr("")}}},
		"id named":           {"fields: {id: event_id}", Mapping{Fields: Fields{ID: ptr("event_id")}}},
		"id null":            {"fields: {id: }", Mapping{}},
		"document marker":    {"---\nformat: csv\n", Mapping{Format: "csv"}},
	} {
		got, err := ParseMapping("map.yaml", []byte(c.yaml))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseMappingErrors(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"unknown key":           {"format: csv\nfileds: {user: u}\n", []string{`map.yaml:2:1: unknown key "fileds"`, "format, fields, time_format, types", "\n\tfileds: {user: u}"}},
		"unknown key in fields": {"fields:\n  user: u\n  usr: u\n", []string{`map.yaml:3:3: unknown key "usr"`, "user, time, type, id"}},
		"unknown key in input":  {"rules: x\ninput:\n  tipes: {}\n", []string{`map.yaml:3:3: unknown key "tipes"`}},
		"same key twice":        {"format: csv\nformat: flat\n", []string{"map.yaml:2:1: ", "format"}},
		"not YAML":              {"fields: {user: u\ntypes: [", []string{"map.yaml:"}},
		"a list":                {"- format: csv\n", []string{"map.yaml:1:1: a mapping is expected, with the keys format"}},
		"a word":                {"csv\n", []string{"map.yaml:1:1: a mapping is expected"}},
		"input is a word":       {"input: csv\n", []string{"map.yaml:1:8: "}},
		"wrong type":            {"types: [view]\n", []string{"map.yaml:1:8: "}},
		"empty":                 {"", []string{"map.yaml: the file is empty"}},
		"only a comment":        {"# nothing\n", []string{"map.yaml: the file is empty"}},
		"two documents":         {"format: csv\n---\nformat: csv\n", []string{"map.yaml: the file holds 2 YAML documents"}},
		"beside input":          {"input: {format: csv}\ntypes: {a: b}\n", []string{"map.yaml:2:1: types stands beside input"}},
		"invalid, all reported": {"format: xml\ntypes: {a: ''}\n", []string{`map.yaml: format: there is no format "xml"`, `map.yaml: types: "a" is renamed to nothing`}},
	} {
		_, err := ParseMapping("map.yaml", []byte(c.yaml))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, text := range c.want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: the error does not say %q:\n%v", name, text, err)
			}
		}
	}
}

func TestLoadMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map.yaml")
	if _, err := LoadMapping(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is missing: %v", err)
	}
	if err := os.WriteFile(path, []byte("fields: {usr: u}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMapping(path); err == nil || !strings.HasPrefix(err.Error(), path+":1:10: ") {
		t.Errorf("a wrong key: %v, want it at %s:1:10", err, path)
	}
	if err := os.WriteFile(path, []byte("fields: {user: u}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if m, err := LoadMapping(path); err != nil || m.Fields.User != "u" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestMappingValidate(t *testing.T) {
	for name, c := range map[string]struct {
		m    Mapping
		want string // empty: valid
	}{
		"zero":                {Mapping{}, ""},
		"flat":                {Mapping{Format: "flat"}, ""},
		"other format":        {Mapping{Format: "CSV"}, `format: there is no format "CSV": use flat, csv, segment, cloudevents, ga4, registry`},
		"segment":             {Mapping{Format: "segment", Fields: Fields{User: "properties.account", Time: "properties.account"}}, ""},
		"ga4":                 {Mapping{Format: "ga4", Fields: Fields{ID: ptr("")}}, ""},
		"no path":             {Mapping{Format: "cloudevents", Fields: Fields{User: "data..user"}}, `fields: user: "data..user" is not a path`},
		"no path for the id":  {Mapping{Format: "cloudevents", Fields: Fields{ID: ptr("data.")}}, `fields: id: "data." is not a path`},
		"registry":            {Mapping{Format: "registry", Registry: Registry{URLs: []string{"https://r:8081/base"}, Username: "u", Password: "p"}}, ""},
		"registry nowhere":    {Mapping{Format: "registry"}, "registry.urls: is empty"},
		"registry no URL":     {Mapping{Format: "registry", Registry: Registry{URLs: []string{"r:8081"}}}, `registry.urls[0]: "r:8081" is not the URL`},
		"registry nobody":     {Mapping{Format: "registry", Registry: Registry{URLs: []string{"http://r"}, Password: "p"}}, "registry.username: is empty"},
		"registry for flat":   {Mapping{Registry: Registry{URLs: []string{"http://r"}}}, "registry: is for format registry only"},
		"two from one":        {Mapping{Fields: Fields{User: "a", Time: "a"}}, `fields: user and time are both read from "a"`},
		"one takes a default": {Mapping{Fields: Fields{User: "time"}}, `fields: user and time are both read from "time"`},
		"swapped":             {Mapping{Fields: Fields{User: "time", Time: "user"}}, ""},
		"id is user":          {Mapping{Fields: Fields{ID: ptr("user")}}, `fields: user and id are both read from "user"`},
		"user is id, derived": {Mapping{Fields: Fields{User: "id", ID: ptr("")}}, ""},
		"user is id":          {Mapping{Fields: Fields{User: "id"}}, `fields: user and id are both read from "id"`},
		"date only":           {Mapping{TimeFormat: "2006-01-02"}, ""},
		"American":            {Mapping{TimeFormat: "01/02/06 03:04:05 PM"}, ""},
		"with offset":         {Mapping{TimeFormat: "2006-01-02T15:04:05-0700"}, ""},
		"digits":              {Mapping{TimeFormat: "20060102150405"}, ""},
		"no date":             {Mapping{TimeFormat: "15:04:05"}, `time_format: "15:04:05" does not hold a year, month and day`},
		"no day":              {Mapping{TimeFormat: "2006-01"}, "does not hold a year, month and day"},
		"not read back":       {Mapping{TimeFormat: "2006-01-02 304 PM"}, `time_format: "2006-01-02 304 PM" is not a Go layout`},
		"strftime":            {Mapping{TimeFormat: "%Y-%m-%d"}, `time_format: "%Y-%m-%d"`},
		"a word":              {Mapping{TimeFormat: "unix"}, `time_format: "unix"`},
		"no PM":               {Mapping{TimeFormat: "2006-01-02 03:04:05"}, "has hours up to 12 and no PM"},
		"rename to nothing":   {Mapping{Types: map[string]string{"a": ""}}, `types: "a" is renamed to nothing`},
		"rename nothing":      {Mapping{Types: map[string]string{"": "a"}}, "types: the name to rename is empty"},
	} {
		err := c.m.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	for name, c := range map[string]struct {
		m    Mapping
		want bool
	}{
		"zero":         {Mapping{}, true},
		"spelled out":  {Mapping{Format: "flat", Fields: Fields{"user", "time", "type", ptr("id")}}, true},
		"user renamed": {Mapping{Fields: Fields{User: "u"}}, false},
		"time renamed": {Mapping{Fields: Fields{Time: "t"}}, false},
		"type renamed": {Mapping{Fields: Fields{Type: "t"}}, false},
		"id renamed":   {Mapping{Fields: Fields{ID: ptr("i")}}, false},
		"id derived":   {Mapping{Fields: Fields{ID: ptr("")}}, false},
		"time format":  {Mapping{TimeFormat: "2006-01-02"}, false},
		"types":        {Mapping{Types: map[string]string{"a": "b"}}, false},
	} {
		if got := c.m.Canonical(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// JSON tells an id that is absent from one that is empty as well.
func TestMappingJSON(t *testing.T) {
	for _, m := range []Mapping{
		{},
		{Fields: Fields{ID: ptr("")}},
		{Format: "csv", Fields: Fields{User: "u", ID: ptr("e")}, TimeFormat: "2006-01-02", Types: map[string]string{"a": "b"}},
	} {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var got Mapping
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzParseMapping(f *testing.F) {
	for _, seed := range []string{
		"", "format: csv", "input:\n  fields: {user: u, id: \"\"}\n", "fields: {usr: u}", "types: {a: b, c: ''}",
		"time_format: \"2006-01-02 15:04:05 MST\"", "a: &x {b: *x}", "input: &a\n  <<: *a", "- a\n- b", "? [a]\n: b", "\xff", "input: {format: csv}\n---\n",
		"format: !!binary x", "types: {1: 2, true: null}", "{", "input: |\n  x", "<<: {format: csv}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMapping("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("the error does not name the file: %v", err)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("%+v was loaded but is not valid: %v", m, err)
		}
	})
}
