// Package pagecachetest measures the page cache in tests.
package pagecachetest
