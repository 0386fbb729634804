package systemd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shown is an assignment in one line.
func shown(a Assignment) string {
	return fmt.Sprintf("%d:%d [%s] %s=%s", a.Line, a.Column, a.Section, a.Key, a.Value)
}

func TestParseUnit(t *testing.T) {
	tests := []struct {
		name, unit     string
		want, warnings []string
		err            string
	}{
		{name: "empty"},
		{
			name: "plain", unit: "# c\n[Unit]\nDescription=a b\n\n[Service]\n  Type = notify \nExecStart=\n",
			want: []string{"3:1 [Unit] Description=a b", "6:3 [Service] Type=notify", "7:1 [Service] ExecStart="},
		},
		{
			name: "equals signs in the value", unit: "[Service]\nEnvironment=A=b=c\n",
			want: []string{"2:1 [Service] Environment=A=b=c"},
		},
		{
			name: "continuations", unit: "[Service]\nExecStart=/a \\\n  # no\n  b\\\\ \\\n;no\n\tc \\\n\nType=x\\\\\n",
			want: []string{`2:1 [Service] ExecStart=/a    b\\  ` + "\tc", `8:1 [Service] Type=x\\`},
		},
		{
			name: "CRLF", unit: "[Service]\r\nType=x\\\r\ny\r\n\r\nKillMode=z\r\n",
			want: []string{"2:1 [Service] Type=x y", "5:1 [Service] KillMode=z"},
		},
		{
			name: "other sections keep their assignments", unit: "[X-Own]\na=b\n[]\nc=d\n",
			want: []string{"2:1 [X-Own] a=b", "4:1 [] c=d"},
		},
		{
			name: "ignored", unit: "a=b\n[Service]\n  nothing\n =x\nType=y\n",
			want: []string{"5:1 [Service] Type=y"},
			warnings: []string{
				"u:1:1: outside of a section: systemd ignores this line", "u:3:3: no equals sign: systemd ignores this line",
				"u:4:2: no key before the equals sign: systemd ignores this line",
			},
		},
		{
			name: "refused", unit: "[Service\nType=x\n\t[a\\b]\n[Unit]\nDescription=\xff\nAfter=x \\\n\uffff\nWants=y\n",
			want: []string{"8:1 [Unit] Wants=y"},
			err: `u:1:1: bad section header "[Service": systemd refuses the file` + "\n" +
				`u:3:2: bad section header "[a\\b]": systemd refuses the file` + "\n" +
				"u:5:1: not valid UTF-8: systemd refuses the file\nu:6:1: not valid UTF-8: systemd refuses the file",
		},
		{name: "bracket alone", unit: "[", err: `u:1:1: bad section header "[": systemd refuses the file`},
		{name: "column of a byte order mark", unit: "\ufeff[Unit]\nA=b", want: []string{"2:1 [Unit] A=b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseUnit("u", []byte(tt.unit))
			var got, warnings []string
			for _, a := range u.Assignments {
				got = append(got, shown(a))
			}
			for _, w := range u.Warnings {
				warnings = append(warnings, w.Error())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !slices.Equal(warnings, tt.warnings) {
				t.Errorf("warned of %q, want %q", warnings, tt.warnings)
			}
			if text := fmt.Sprint(errors.Join(err)); text != tt.err && (err != nil || tt.err != "") {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

func parsed(t *testing.T, name, unit string) *UnitFile {
	t.Helper()
	u, err := ParseUnit(name, []byte(unit))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestCombine(t *testing.T) {
	unit := parsed(t, "kubelet.service", "lost\n[Unit]\nAfter=a\n[Service]\nType=simple\n[Unit]\nExecStart=no\n[Service]\nEnvironment=A=1\nExecStart=/old $A\n")
	reset := parsed(t, "1.conf", "[Unit]\nAfter=\nExecStart=\n[Service]\nType=\nExecStart=\nExecStart=/usr/bin/kubelet $A $B\n")
	more := parsed(t, "2.conf", "[Service]\nEnvironment=\"B=--b --c\"\n")

	c := Combine(unit, reset, more)
	var got []string
	for _, a := range c.Assignments {
		got = append(got, a.File+" "+shown(a))
	}
	want := []string{
		"kubelet.service 3:1 [Unit] After=a", "kubelet.service 5:1 [Service] Type=simple", "kubelet.service 7:1 [Unit] ExecStart=no",
		"kubelet.service 9:1 [Service] Environment=A=1",
		"1.conf 2:1 [Unit] After=", "1.conf 3:1 [Unit] ExecStart=", "1.conf 5:1 [Service] Type=", "1.conf 6:1 [Service] ExecStart=",
		"1.conf 7:1 [Service] ExecStart=/usr/bin/kubelet $A $B", "2.conf 2:1 [Service] Environment=\"B=--b --c\"",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(c.Warnings) != 1 || c.Warnings[0].Error() != "kubelet.service:1:1: outside of a section: systemd ignores this line" {
		t.Errorf("warnings: %v", c.Warnings)
	}
	if len(unit.Assignments) != 5 {
		t.Error("Combine changed the unit that it was given")
	}
	command, err := c.ExecStart(Environment{})
	wantArgs := []Word{
		{Text: "1", Position: Position{"kubelet.service", 9, 15}}, {Text: "--b", Position: Position{"2.conf", 2, 16}},
		{Text: "--c", Position: Position{"2.conf", 2, 20}},
	}
	if err != nil || command.Path != "/usr/bin/kubelet" || !slices.Equal(command.Args, wantArgs) {
		t.Errorf("got %+v, %v; want %+v", command, err, wantArgs)
	}
	if values := c.Values("Unit", "After"); len(values) != 2 {
		t.Errorf("an empty After= took back %v", values)
	}
}

// FuzzCombine: drop-ins may be combined before their unit, and a file alone stays what it is.
func FuzzCombine(f *testing.F) {
	f.Add("[Service]\nExecStart=/a b\nEnvironment=A=1", "[Service]\nExecStart=\nExecStart=/b $A", "[Service]\nEnvironment=\n[Unit]\nAfter=")
	f.Add("[Service]\nExecStart=", "x", "[Service]\nExecStart=/a\nExecStart=\n")
	f.Fuzz(func(t *testing.T, first, second, third string) {
		a, _ := ParseUnit("a", []byte(first))
		b, _ := ParseUnit("b", []byte(second))
		c, _ := ParseUnit("c", []byte(third))
		show := func(u *UnitFile) string {
			var s strings.Builder
			for _, a := range u.Assignments {
				fmt.Fprintf(&s, "%s %s\n", a.File, shown(a))
			}
			env := Environment{ReadFile: func(string) ([]byte, error) { return nil, nil }}
			command, err := u.ExecStart(env)
			for _, w := range u.Warnings {
				fmt.Fprintln(&s, w)
			}
			fmt.Fprintf(&s, "%+v %v", command.Args, err)
			return s.String()
		}
		all := show(Combine(a, b, c))
		if left := show(Combine(Combine(a, b), c)); left != all {
			t.Errorf("(a b) c:\n%s\na b c:\n%s", left, all)
		}
		if right := show(Combine(a, Combine(b, c))); right != all {
			t.Errorf("a (b c):\n%s\na b c:\n%s", right, all)
		}
		if once, twice := show(Combine(a)), show(Combine(Combine(a))); once != twice {
			t.Errorf("once:\n%s\ntwice:\n%s", once, twice)
		}
	})
}

// What files mean is in the cases of TestExecStartIsThatOfSystemd; this is about places, and about what is skipped.
func TestParseEnvironmentFile(t *testing.T) {
	data := "# ü\n  A = --a=1  --b \nB=\"x\ny\"\\\n'z'\n;c\\\nC=0\nexport D=1\nE\r\nA=\n\tF='1"
	vars, ignored, err := ParseEnvironmentFile("/env", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	var got, skipped []string
	for _, v := range vars {
		got = append(got, fmt.Sprintf("%d:%d %s=%s", v.Line, v.Column, v.Name, v.Value))
	}
	for _, e := range ignored {
		skipped = append(skipped, e.Error())
	}
	want := []string{"2:3 A=--a=1  --b", "3:1 B=x\ny'z'", "10:1 A=", "11:2 F=1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	wantSkipped := []string{
		"/env:6:3: this comment goes on with the next line before systemd 254, and ends here since",
		`/env:8:1: "export D" is not the name of a variable: systemd ignores this line`,
		"/env:9:1: no equals sign: systemd ignores this line",
		"/env:11:4: this quote is never closed: systemd takes the rest of the file for the value",
	}
	if !slices.Equal(skipped, wantSkipped) {
		t.Errorf("skipped %q, want %q", skipped, wantSkipped)
	}
	wantWords := []Word{{Text: "--a=1", Position: Position{"/env", 2, 7}}, {Text: "--b", Position: Position{"/env", 2, 14}}}
	if words := vars[0].Words(); !slices.Equal(words, wantWords) {
		t.Errorf("words %+v, want %+v", words, wantWords)
	}

	_, _, err = ParseEnvironmentFile("/env", []byte("A=1\n# \x00\nB=\xff\nC=2"))
	if want := "/env:2:3: a NUL character: systemd refuses the file\n/env:3:1: not valid UTF-8: systemd refuses the file"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// FuzzParseEnvironmentFile: no file makes it panic, and every position is inside the file.
func FuzzParseEnvironmentFile(f *testing.F) {
	for _, c := range realCases {
		for _, data := range c.files {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data string) {
		inside := insides(t, map[string]string{"env": data})
		vars, ignored, _ := ParseEnvironmentFile("env", []byte(data))
		for _, v := range vars {
			inside(v.Position)
			for _, w := range v.Words() {
				inside(w.Position)
			}
		}
		for _, e := range ignored {
			inside(e.Position)
		}
	})
}

func TestSplitCommandLine(t *testing.T) {
	tests := []struct {
		name, text, path string
		want             []Word
	}{
		{"nothing", " \n", "", nil},
		{"program", "/usr/bin/kubelet --a b", "/usr/bin/kubelet", []Word{at("--a", 1, 18), at("b", 1, 22)}},
		{"flags alone", "--a b", "", []Word{at("--a", 1, 1), at("b", 1, 5)}},
		{"single quotes", `k 'a $b \c "d"' e'f g'`, "k", []Word{at(`a $b \c "d"`, 1, 4), at("ef g", 1, 17)}},
		{"double quotes", `k "a 'b' \"c\" \\ \$ \x" --a="b c"`, "k", []Word{at(`a 'b' "c" \ $ \x`, 1, 4), at("--a=b c", 1, 26)}},
		{"backslashes", `k a\ b \"c \\ \-\-d`, "k", []Word{at("a b", 1, 3), at(`"c`, 1, 9), at(`\`, 1, 13), at("--d", 1, 16)}},
		{"empty words", `k '' ""x ""`, "k", []Word{at("", 1, 3), at("x", 1, 8), at("", 1, 10)}},
		{"continued", "k \\\n  --a \\\r\n --b\\\n=c \"d\\\ne\"\n", "k", []Word{at("--a", 2, 3), at("--b=c", 3, 2), at("de", 4, 5)}},
		{"newline alone", "k\n--a\r\n--b\n", "k", []Word{at("--a", 2, 1), at("--b", 3, 1)}},
		{"newline in quotes", "k 'a\nb' c", "k", []Word{at("a\nb", 1, 4), at("c", 2, 4)}},
		{"comment", "# first\nk a#b # c 'd\n #e\n f", "k", []Word{at("a#b", 2, 3), at("f", 4, 2)}},
		{"variables stay", `k $A "$B" ${C:-x} $(d)`, "k", []Word{at("$A", 1, 3), at("$B", 1, 7), at("${C:-x}", 1, 11), at("$(d)", 1, 19)}},
		{"operators stay", `k --e=a<1,b>2 &`, "k", []Word{at("--e=a<1,b>2", 1, 3), at("&", 1, 15)}},
		{"backslash at the end", `k a\`, "k", []Word{at(`a\`, 1, 3)}},
		{"not ASCII", "k ü --a", "k", []Word{at("ü", 1, 3), at("--a", 1, 6)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, args, err := SplitCommandLine("cmd", tt.text)
			if err != nil || path != tt.path || !slices.Equal(args, tt.want) {
				t.Errorf("got %q %+v, %v; want %q %+v", path, args, err, tt.path, tt.want)
			}
		})
	}
	for text, want := range map[string]string{
		"k 'a":          "cmd:1:3: this quote is never closed",
		"k \\\n a\"b\\": "cmd:2:3: this quote is never closed",
	} {
		var syntax *SyntaxError
		if _, _, err := SplitCommandLine("cmd", text); !errors.As(err, &syntax) || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func at(text string, line, column int) Word {
	return Word{Text: text, Position: Position{"cmd", line, column}}
}

func TestSplitNulls(t *testing.T) {
	path, args := SplitNulls("cmd", []byte("/usr/bin/kubelet\x00--a=b c\x00\x00--d\x00"))
	want := []Word{at("--a=b c", 1, 18), at("", 1, 26), at("--d", 1, 27)}
	if path != "/usr/bin/kubelet" || !slices.Equal(args, want) {
		t.Errorf("got %q %+v, want %+v", path, args, want)
	}
	if path, args := SplitNulls("cmd", nil); path != "" || args != nil {
		t.Errorf("nothing gives %q %+v", path, args)
	}
}

// FuzzSplitCommandLine: no text makes it panic, every position is inside of the text, and words that are quoted for a
// shell come back.
func FuzzSplitCommandLine(f *testing.F) {
	for _, seed := range []string{"", "k a 'b c' \"d\\\"\" \\\n e # f", "--a\r\n\\\r\nb", "'", "\"\\", "k \x00 \xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inside := insides(t, map[string]string{"cmd": text})
		_, args, _ := SplitCommandLine("cmd", text)
		for _, w := range args {
			inside(w.Position)
		}
		words := strings.Split(text, " ")
		line := "k"
		for _, w := range words {
			line += " '" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		_, args, err := SplitCommandLine("cmd", line)
		if err != nil || !slices.Equal(texts(args), words) {
			t.Errorf("%s: got %q, %v; want %q", line, texts(args), err, words)
		}
		if path, args := SplitNulls("cmd", []byte("k\x00"+line+"\x00")); path != "k" || len(args) != strings.Count(line, "\x00")+1 {
			t.Errorf("%q: got %q", line, texts(args))
		}
	})
}
