package systemd

// Words splits the value as for a word $NAME of a command line.
func (v Variable) Words() []Word {
	var words []Word
	s := splitter{rest: v.value, mode: variableValue}
	for {
		w, ok, _ := s.next() // this mode knows no errors
		if !ok {
			return words
		}
		words = append(words, w.word())
	}
}

// Variables are those of Environment= that are in force, in order; specifiers stay as they are written.
func (u *UnitFile) Variables() []Variable {
	r := &resolver{}
	var all []Variable
	for _, a := range u.Values("Service", "Environment") {
		for _, w := range r.environmentWords(a) {
			if equals := w.index('='); equals > 0 && isVariableName(w.text[:equals].String()) {
				value := w.text[equals+1:]
				all = append(all, Variable{w.text[:equals].String(), value.String(), w.position(), value})
			}
		}
	}
	return all
}
