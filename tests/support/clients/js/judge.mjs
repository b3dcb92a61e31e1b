// A second judge of tokens: npm's jose. One JSON object a line in, {token, jwk, algorithm, issuer,
// audience, now}; one line out for each: null where it takes the token, else the reason.
import { createInterface } from "node:readline";
import { importJWK, jwtVerify } from "jose";

for await (const line of createInterface({ input: process.stdin })) {
  const { token, jwk, algorithm, issuer, audience, now } = JSON.parse(line);
  let refused = null;
  try {
    await jwtVerify(token, await importJWK(jwk, algorithm), {
      algorithms: [algorithm],
      issuer,
      audience,
      requiredClaims: ["exp", "iat"],
      currentDate: new Date(now * 1000),
    });
  } catch (error) {
    refused = String(error.code ?? error.name);
  }
  console.log(JSON.stringify(refused));
}
