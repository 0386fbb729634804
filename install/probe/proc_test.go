package probe

import "testing"

func TestSocketAddress(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{ // of a machine with its low byte first
		{"0100007F:2808", "127.0.0.1:10248"},
		{"00000000:280A", "0.0.0.0:10250"},
		{"00000000000000000000000000000000:280A", "[::]:10250"},
		{"00000000000000000000000001000000:2808", "[::1]:10248"},
		{"0000000000000000FFFF00000100007F:2808", "127.0.0.1:10248"},
	}
	for _, tt := range tests {
		if got, ok := socketAddress(tt.text); !ok || got.String() != tt.want {
			t.Errorf("%s: %s, want %s", tt.text, got, tt.want)
		}
	}
	for _, text := range []string{"", "x:1", "0100007F", "01:2808"} {
		if got, ok := socketAddress(text); ok {
			t.Errorf("%q: %s", text, got)
		}
	}
}
