package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/go-faster/jx"
	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/nudged/nudged/rules/eventtime"
)

type protobufMessages struct{ file protoreflect.FileDescriptor }

// newProtobuf compiles the source of a schema.
func newProtobuf(ctx context.Context, id int, text string, references []reference) (schema, error) {
	main := fmt.Sprintf("schema-%d.proto", id)
	sources := map[string]string{main: text}
	for _, ref := range references {
		sources[ref.name] = ref.text
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(path string) (io.ReadCloser, error) {
				source, ok := sources[path]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return io.NopCloser(strings.NewReader(source)), nil
			},
		}),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(ctx, main)
	if ctx.Err() != nil {
		return nil, Unavailable{ctx.Err()}
	}
	if err != nil {
		return nil, err
	}
	return &protobufMessages{files[0]}, nil
}

// maxNesting is how deep a message type may lie within others.
const maxNesting = 32

func (m *protobufMessages) appendJSON(dst, message []byte) ([]byte, string, error) {
	index, message, err := new(sr.ConfluentHeader).DecodeIndex(message, maxNesting)
	if err != nil {
		return dst, "", errors.New("the schema id is not followed by the indexes of a message type")
	}
	d, err := m.find(index)
	if err != nil {
		return dst, "", err
	}
	msg := dynamicpb.NewMessage(d)
	if err := unmarshal(message, msg); err != nil {
		return dst, "", err
	}
	w := jx.Writer{Buf: dst}
	if err := writeMessage(&w, msg); err != nil {
		return dst, "", err
	}
	return w.Buf, string(d.FullName()), nil
}

// unmarshal reads a message. The library panics at some that are damaged (an entry
// of a map whose key comes twice, the second time as another type): that is an
// error like any other.
func unmarshal(message []byte, to proto.Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is damaged: %v", r)
		}
	}()
	return proto.UnmarshalOptions{DiscardUnknown: true, AllowPartial: true}.Unmarshal(message, to)
}

// find follows the indexes of message types: in the file, then each within the
// one before.
func (m *protobufMessages) find(index []int) (protoreflect.MessageDescriptor, error) {
	if len(index) == 0 {
		return nil, errors.New("it names no message type")
	}
	types := m.file.Messages()
	var d protoreflect.MessageDescriptor
	for _, i := range index {
		if i < 0 || i >= types.Len() {
			return nil, fmt.Errorf("it names message type %v, which the schema does not have", index)
		}
		d = types.Get(i)
		types = d.Messages()
	}
	return d, nil
}

// writeMessage writes the fields under their names in the schema. What is not
// set is left out; a field without presence always has a value.
func writeMessage(w *jx.Writer, m protoreflect.Message) error {
	if done, err := writeWellKnown(w, m); done {
		return err
	}
	w.Buf = append(w.Buf, '{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if (f.HasPresence() || f.IsList() || f.IsMap()) && !m.Has(f) {
			continue
		}
		if !first {
			w.Buf = append(w.Buf, ',')
		}
		first = false
		w.Str(string(f.Name()))
		w.Buf = append(w.Buf, ':')
		if err := writeField(w, f, m.Get(f)); err != nil {
			return err
		}
	}
	w.Buf = append(w.Buf, '}')
	return nil
}

func writeField(w *jx.Writer, f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch {
	case f.IsList():
		list := v.List()
		w.Buf = append(w.Buf, '[')
		for i := range list.Len() {
			if i > 0 {
				w.Buf = append(w.Buf, ',')
			}
			if err := writeOne(w, f, list.Get(i)); err != nil {
				return err
			}
		}
		w.Buf = append(w.Buf, ']')
		return nil
	case f.IsMap():
		return writeMap(w, f, v.Map())
	}
	return writeOne(w, f, v)
}

func writeMap(w *jx.Writer, f protoreflect.FieldDescriptor, m protoreflect.Map) error {
	keys := make(map[string]protoreflect.MapKey, m.Len())
	names := make([]string, 0, m.Len())
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys[k.String()] = k
		names = append(names, k.String())
		return true
	})
	slices.Sort(names)
	w.Buf = append(w.Buf, '{')
	for i, name := range names {
		if i > 0 {
			w.Buf = append(w.Buf, ',')
		}
		w.Str(name)
		w.Buf = append(w.Buf, ':')
		if err := writeOne(w, f.MapValue(), m.Get(keys[name])); err != nil {
			return err
		}
	}
	w.Buf = append(w.Buf, '}')
	return nil
}

func writeOne(w *jx.Writer, f protoreflect.FieldDescriptor, v protoreflect.Value) error {
	switch f.Kind() {
	case protoreflect.BoolKind:
		w.Bool(v.Bool())
	case protoreflect.StringKind:
		w.Str(v.String())
	case protoreflect.BytesKind:
		w.Str(base64.StdEncoding.EncodeToString(v.Bytes()))
	case protoreflect.FloatKind:
		writeFloat(w, v.Float(), 32)
	case protoreflect.DoubleKind:
		writeFloat(w, v.Float(), 64)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		w.Buf = strconv.AppendUint(w.Buf, v.Uint(), 10)
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			w.Str(string(e.Name()))
		} else {
			w.Int64(int64(v.Enum()))
		}
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return writeMessage(w, v.Message())
	default: // the signed integers
		w.Int64(v.Int())
	}
	return nil
}

// writeWellKnown writes the messages of google.protobuf that stand for something
// simpler.
func writeWellKnown(w *jx.Writer, m protoreflect.Message) (done bool, err error) {
	d := m.Descriptor()
	if d.FullName().Parent() != "google.protobuf" {
		return false, nil
	}
	field := func(name protoreflect.Name) (protoreflect.FieldDescriptor, protoreflect.Value) {
		f := d.Fields().ByName(name)
		return f, m.Get(f)
	}
	switch d.Name() {
	case "Timestamp":
		_, seconds := field("seconds")
		_, nanos := field("nanos")
		if s := seconds.Int(); s < eventtime.MinMilli/1000 || s > eventtime.MaxMilli/1000 || nanos.Int() < 0 || nanos.Int() > 999_999_999 {
			return true, errTimeRange
		}
		w.Buf = append(w.Buf, '"')
		w.Buf = append(eventtime.AppendRFC3339(w.Buf, seconds.Int()*1000+nanos.Int()/1e6), '"')
	case "Duration": // in seconds
		_, seconds := field("seconds")
		_, nanos := field("nanos")
		w.Float64(float64(seconds.Int()) + float64(nanos.Int())/1e9)
	case "BoolValue", "StringValue", "BytesValue", "FloatValue", "DoubleValue", "Int32Value", "Int64Value", "UInt32Value", "UInt64Value":
		f, v := field("value")
		return true, writeOne(w, f, v)
	case "Struct":
		f, v := field("fields")
		return true, writeMap(w, f, v.Map())
	case "ListValue":
		f, v := field("values")
		return true, writeField(w, f, v)
	case "Value":
		f := m.WhichOneof(d.Oneofs().ByName("kind"))
		if f == nil || f.Name() == "null_value" {
			w.Null()
			return true, nil
		}
		return true, writeOne(w, f, m.Get(f))
	default:
		return false, nil
	}
	return true, nil
}
