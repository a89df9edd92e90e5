// For those whom the Go module proxy answers. The build server takes Debian's packages instead: build.sh.
module hochiminhcity.gov.vn/mdm

go 1.25.0

require (
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261110000943-09e21b237f2c
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)
