// Package pagecachetest looks at what the kernel keeps of files, for tests.
package pagecachetest
