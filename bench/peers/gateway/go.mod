module gateway

go 1.25

require (
	github.com/twmb/franz-go v1.22.2
	github.com/valyala/fasthttp v1.77.0
)
