package config

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

// What was recorded comes back as it was, whatever its numbers are.
func TestDecodeJSON(t *testing.T) {
	type record struct {
		Fields map[string]any `json:"fields"`
		Count  int            `json:"count"`
	}
	want := record{Count: 3, Fields: tree{
		"int":    int64(9007199254740993),
		"least":  int64(math.MinInt64),
		"most":   int64(math.MaxInt64),
		"float":  0.1,
		"list":   []any{int64(1), tree{"deep": int64(9007199254740993)}},
		"string": "9007199254740993",
		"null":   nil,
		"bool":   true,
	}}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if err := DecodeJSON(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	for _, bad := range []string{"", "{", `{"count": "x"}`, "{} {}"} {
		if err := DecodeJSON([]byte(bad), &record{}); err == nil {
			t.Errorf("%q was decoded", bad)
		}
	}
}

// Whoever decodes with another decoder gets the same file.
func TestRenderLargeNumbers(t *testing.T) {
	const limit = "9007199254740993"
	for _, number := range []any{int64(9007199254740993), uint64(9007199254740993), json.Number(limit)} {
		out, err := Render(Input{Minor: Newest, Config: tree{"podPidsLimit": number}})
		if err != nil {
			t.Errorf("%T: %v", number, err)
			continue
		}
		if !strings.Contains(string(out.Config), "\npodPidsLimit: "+limit+"\n") {
			t.Errorf("%T: the file has another number:\n%s", number, out.Config)
		}
		for _, f := range ValidateConfig(Newest, tree{"podPidsLimit": number}, nil) {
			t.Errorf("%T: %v", number, f)
		}
	}
	_, err := Render(Input{Minor: Newest, Config: tree{"maxPods": int64(math.MaxInt64)}})
	if err == nil || !strings.Contains(err.Error(), "wanted a whole number (32 bit), got the number 9223372036854775807") {
		t.Errorf("maxPods: %v", err)
	}
}
