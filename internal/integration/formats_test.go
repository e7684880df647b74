package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
	"google.golang.org/protobuf/encoding/protowire"
)

// format is a way in which events come: a sign-up in it, and a record that is
// none.
type format struct {
	name    string
	input   string // the configuration's input part
	good    kgo.Record
	bad     kgo.Record
	refused string
}

// formatsOf are all of them, for a user and a time. Schemas are kept by the
// registry.
func formatsOf(t *testing.T, user string, at time.Time, registry *srfake.Registry) []format {
	t.Helper()
	when := at.Format(time.RFC3339Nano)
	value := func(text string, args ...any) kgo.Record { return kgo.Record{Value: fmt.Appendf(nil, text, args...)} }
	ce := func(names ...string) (h []kgo.RecordHeader) {
		for i := 0; i < len(names); i += 2 {
			h = append(h, kgo.RecordHeader{Key: names[i], Value: []byte(names[i+1])})
		}
		return h
	}
	binary := value(`{"plan":"gold"}`)
	binary.Headers = ce("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "signup", "ce_subject", user, "ce_time", when, "content-type", "application/json")
	binaryBad := value(`{"plan":"gold"}`)
	binaryBad.Headers = ce("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "signup", "ce_time", when)

	registered := func(subject string, s sr.Schema) int {
		id, _, err := registry.RegisterSchema(subject, s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	wire := func(id int, index []int, message []byte) kgo.Record {
		head, err := new(sr.ConfluentHeader).AppendEncode(nil, id, index)
		if err != nil {
			t.Fatal(err)
		}
		return kgo.Record{Value: append(head, message...)}
	}
	const avroSchema = `{"type":"record","name":"signup","fields":[{"name":"user","type":"string"},{"name":"plan","type":"string"},{"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	avroMessage, err := avro.MustParse(avroSchema).Encode(map[string]any{"user": user, "plan": "gold", "time": at})
	if err != nil {
		t.Fatal(err)
	}
	avroID := registered("avro", sr.Schema{Schema: avroSchema})
	jsonID := registered("json", sr.Schema{Type: sr.TypeJSON, Schema: `{"title":"signup"}`})
	protobufID := registered("protobuf", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3";
message signup { string user = 1; string plan = 2; int64 time = 3; }`})
	protobufMessage := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte(user))
	protobufMessage = protowire.AppendBytes(protowire.AppendTag(protobufMessage, 2, protowire.BytesType), []byte("gold"))
	protobufMessage = protowire.AppendVarint(protowire.AppendTag(protobufMessage, 3, protowire.VarintType), uint64(at.UnixMilli()))

	const cloudevents = "{format: cloudevents}"
	byRegistry := fmt.Sprintf("{format: registry, registry: {urls: [%q]}}", registry.URL())
	return []format{
		{
			"flat with other names", "{fields: {user: user_id}, types: {sign-up: signup}}",
			value(`{"id":"1","type":"sign-up","user_id":%q,"time":%q,"plan":"gold"}`, user, when), value(`{"id":"2"}`), "no user",
		},
		{
			"segment", "{format: segment, types: {Signed Up: signup}}",
			value(`{"type":"track","event":"Signed Up","userId":%q,"messageId":"m1","timestamp":%q,"properties":{"plan":"gold"}}`, user, when),
			value(`{"type":"track","event":"Signed Up","messageId":"m2"}`), "no user",
		},
		{
			"cloudevents structured", cloudevents,
			value(`{"specversion":"1.0","id":"1","source":"/s","type":"signup","subject":%q,"time":%q,"data":{"plan":"gold"}}`, user, when),
			value(`{"id":"1","source":"/s"}`), "no specversion",
		},
		{"cloudevents binary", cloudevents, binary, binaryBad, "no user"},
		{
			"ga4", "{format: ga4, types: {sign_up: signup}}",
			value(`{"event_timestamp":"%d","event_name":"sign_up","user_id":%q,"event_params":[{"key":"plan","value":{"string_value":"gold"}}]}`, at.UnixMicro(), user),
			value(`{"event_timestamp":"%d","event_name":"sign_up","user_id":%q,"event_params":7}`, at.UnixMicro(), user), "event_params: a list is expected",
		},
		{"registry, Avro", byRegistry, wire(avroID, nil, avroMessage), wire(avroID, nil, avroMessage[:3]), "does not fit its schema"},
		{
			"registry, JSON Schema", byRegistry, wire(jsonID, nil, fmt.Appendf(nil, `{"user":%q,"time":%d,"plan":"gold"}`, user, at.UnixMilli())),
			wire(jsonID, nil, []byte("{")), "not valid JSON",
		},
		{"registry, Protobuf", byRegistry, wire(protobufID, []int{0}, protobufMessage), wire(77, nil, nil), "does not know schema 77"},
	}
}

// Each format goes through Kafka into a decision; a malformed record is a dead
// letter.
func TestFormats(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	at := time.Now().UTC().Truncate(time.Millisecond)
	for _, f := range formatsOf(t, "u1", at, registry) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			d := start(t, "--config", w.config("testdata/rules.yaml", "wall", "input: "+f.input))
			w.put(&f.bad, &f.good)
			sent := w.tail(w.sends).decided("sent", 1)
			d.terminate()
			s, ok := sent["u1"]
			if !ok || !instant(t, s.triggerTime).Equal(at) {
				t.Errorf("sent %+v, want a command for u1 by an event of %s", sent, at)
			}
			for _, r := range w.committed(w.sends) {
				if !strings.Contains(string(r.Value), `"data":{"plan":"gold"}`) {
					t.Errorf("the command lacks the event's field: %s", r.Value)
				}
			}
			letters := w.committed(w.dead)
			if len(letters) != 1 || !strings.Contains(header(letters[0], "nudged-error"), f.refused) {
				t.Errorf("%d dead letters, want one that says %q", len(letters), f.refused)
				for _, l := range letters {
					t.Log(header(l, "nudged-error"))
				}
			}
		})
	}
}

// While the registry does not answer, nothing is set aside; the daemon says that
// it is not ready, and why.
func TestRegistryAway(t *testing.T) {
	t.Parallel()
	registry := srfake.New()
	t.Cleanup(registry.Close)
	at := time.Now().UTC().Truncate(time.Millisecond)
	f := formatsOf(t, "u1", at, registry)[5]
	w := newWorld(t, 1, nil)
	gate := make(chan struct{})
	registry.Intercept(awayUntil(gate))
	d := start(t, "--config", w.config("testdata/rules.yaml", "wall", "input: "+f.input))
	d.untilReady(1)
	w.put(&f.good)
	eventually(t, "the daemon says that it waits for the registry", func() bool {
		code, states := d.status()
		return code == 503 && len(states) == 1 && strings.Contains(states[0].Trouble, "ask the schema registry for schema")
	})
	close(gate)
	if _, ok := w.tail(w.sends).decided("sent", 1)["u1"]; !ok {
		t.Error("the event was not decided once the registry was back")
	}
	d.terminate()
	if n := len(w.committed(w.dead)); n != 0 {
		t.Errorf("%d dead letters, want none", n)
	}
}

// awayUntil answers that the registry is away until the gate is closed.
func awayUntil(gate <-chan struct{}) srfake.Interceptor {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		select {
		case <-gate:
			return false
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	}
}
