package report

// Doctor is the document of setup doctor. The facts are those after the run. If Docker cannot be used, all facts except setup are empty.
type Doctor struct {
	Facts
	// OK reports whether no link is broken. After repairs, it is the state at the end.
	OK bool `json:"ok"`
	// Findings lists the checks in order. After repairs, they are those of the last examination.
	Findings []Finding `json:"findings"`
	// Repairs lists what --fix mended, or tried to.
	Repairs []Repair `json:"repairs"`
}

// Broken returns the broken links.
func (d *Doctor) Broken() []Finding {
	var broken []Finding
	for _, finding := range d.Findings {
		if finding.Outcome == Broken {
			broken = append(broken, finding)
		}
	}
	return broken
}

// Outcome is the outcome of a check of setup doctor.
type Outcome string

// The outcomes.
const (
	// Healthy means that the link works.
	Healthy Outcome = "healthy"
	// Broken means that the link does not work, and that the cause is here.
	Broken Outcome = "broken"
	// NotChecked means that an earlier link is broken.
	NotChecked Outcome = "not checked"
)

// Finding is what a check of setup doctor found.
type Finding struct {
	// Check is the check's name.
	Check string `json:"check"`
	// Outcome is one of: healthy, broken, not checked.
	Outcome Outcome `json:"outcome"`
	// Found describes what was found. It is omitted if the link was not checked.
	Found string `json:"found,omitempty"`
	// Why tells why a broken link matters.
	Why string `json:"why,omitempty"`
	// Remedy tells what mends a broken link, usually a command.
	Remedy string `json:"remedy,omitempty"`
	// Fixable reports whether setup doctor --fix can mend the broken link.
	Fixable bool `json:"fixable,omitempty"`
	// Because names the broken check because of which the link was not checked.
	Because string `json:"because,omitempty"`
	// Duration is how long the check took.
	Duration Seconds `json:"duration"`
}

// Repair is an attempt to mend a broken link.
type Repair struct {
	// Check is the check's name.
	Check string `json:"check"`
	// Found describes what was broken.
	Found string `json:"found"`
	// Error tells why the link could not be mended. It is omitted if the link was mended.
	Error string `json:"error,omitempty"`
}

// Export is the document of setup export logs.
type Export struct {
	// Directory is the directory that contains the files.
	Directory string `json:"directory"`
	// Files lists the files in alphabetical order.
	Files []string `json:"files"`
	// Missing lists the files that could not be read. The directory contains the error under the same name, with the suffix .error.
	Missing []string `json:"missing"`
}
