/**
 * Getting in: what a registry's challenge asks for, with the credentials there are, one after the other.
 * @see distribution "Token Authentication Specification", "OAuth2"; RFC 7617
 */
import * as z from 'zod/mini';
import { withoutSecret, type Credential } from '../../model/credentials.ts';
import { RuntimeError, printable } from '../../model/errors.ts';
import type { HttpClient, HttpResponse, Insecure } from '../http/client.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { reasonIn } from './reasons.ts';

export interface AuthorizationSettings {
  readonly http: HttpClient;
  /** host[:port], as the user knows it */
  readonly registry: string;
  readonly repository: string;
  readonly insecure: Insecure;
  /** best first; asked when the registry wants one */
  readonly credentials: () => readonly Credential[];
}

/** One way in: a credential, or none. */
type Way = { readonly credential: Credential | undefined };

const tokenAnswer = z.object({ token: z.nullish(z.string()), access_token: z.nullish(z.string()), expires_in: z.nullish(z.number()) });
/** What a token server means that says nothing. */
const defaultLifeSeconds = 60;
const renewalMs = 10_000;
const maxTokenBytes = 1024 * 1024;
const basic = (user: string, password: string): string => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

export class Authorization {
  readonly #settings: AuthorizationSettings;
  #header: string | undefined;
  #expiresAtMs = Infinity;
  #renewedAtMs = -Infinity;
  #challenge: Challenge | undefined;
  #ways: Way[] | undefined;
  #way: Way | undefined;
  readonly #tried: string[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(settings: AuthorizationSettings) {
    this.#settings = settings;
  }

  /** Value of the Authorization header for the next request; a token that ran out is replaced first. @throws ERR_REGISTRY_DENIED, ERR_HTTP_* */
  header(): Promise<string | undefined> {
    return this.#inTurn(async () => {
      if (Date.now() >= this.#expiresAtMs && this.#challenge !== undefined && this.#way !== undefined) await this.#open(this.#challenge, this.#way);
      return this.#header;
    });
  }

  /**
   * Answers a 401 that was given to a request with the header `used`: when this returns, {@link header} is another one.
   * @throws ERR_REGISTRY_DENIED when nothing is left to try, with what was tried
   */
  challenged(response: HttpResponse, used: string | undefined, body: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      // Of several requests that were refused together the first has found another way already.
      if (used !== this.#header) return;
      const challenges = parseChallenges(response.headers['www-authenticate'] ?? '');
      const challenge = challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic');
      if (challenge === undefined) throw this.#denied(`answers ${response.status}${reasonIn(body)} and does not say what it wants`);
      this.#challenge = challenge;
      this.#ways ??= this.#allWays();
      // A token may die before its time: another clock, another key. Once in a while the same way may be gone again.
      if (this.#way !== undefined && challenge.parameters['error'] === 'invalid_token' && Date.now() - this.#renewedAtMs > renewalMs) {
        this.#renewedAtMs = Date.now();
        if (await this.#open(challenge, this.#way)) return;
      }
      for (;;) {
        const way = this.#ways.shift();
        if (way === undefined) throw this.#denied(`answers ${response.status}${reasonIn(body)}`);
        this.#way = way;
        if (await this.#open(challenge, way)) return;
      }
    });
  }

  /** 403: the credentials are good, and not enough. */
  forbidden(body: Uint8Array): RuntimeError {
    return this.#denied(`answers 403${reasonIn(body)}`);
  }

  #allWays(): Way[] {
    const credentials = this.#settings.credentials().filter(({ kind }) => kind !== 'aws');
    return credentials.length === 0 ? [{ credential: undefined }] : credentials.map((credential) => ({ credential }));
  }

  /** One at a time: parallel downloads need one token, not one each. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** Sets the header by `way`. @returns false when that way is closed */
  async #open(challenge: Challenge, way: Way): Promise<boolean> {
    const { credential } = way;
    const shown = credential === undefined ? 'no credentials' : withoutSecret(credential);
    if (!this.#tried.includes(shown)) this.#tried.push(shown);
    this.#expiresAtMs = Infinity;
    if (credential?.kind === 'bearer') {
      this.#header = `Bearer ${credential.token}`;
      return true;
    }
    if (challenge.scheme === 'basic') {
      if (credential?.kind !== 'basic') return false;
      this.#header = basic(credential.user, credential.password);
      return true;
    }
    const token = await this.#askForToken(challenge, credential);
    if (token === undefined) return false;
    this.#header = `Bearer ${token.value}`;
    // A little early: the registry's clock decides, and the way there takes time.
    this.#expiresAtMs = Date.now() + token.lifeSeconds * 900;
    return true;
  }

  async #askForToken(challenge: Challenge, credential: Credential | undefined): Promise<{ value: string; lifeSeconds: number } | undefined> {
    const { http, registry, insecure } = this.#settings;
    const { realm = '', service } = challenge.parameters;
    const scope = challenge.parameters['scope'] ?? `repository:${this.#settings.repository}:pull`;
    if (!/^https?:\/\//.test(realm) || !URL.canParse(realm))
      throw new RuntimeError('ERR_REGISTRY_PROTOCOL', `${registry} asks for a token and names no token server: ${JSON.stringify(printable(realm))}`);
    const url = new URL(realm);
    const answer = await http.document(url, { ...this.#tokenRequest(url, credential, service, scope), insecure, maxBytes: maxTokenBytes });
    if (answer.status === 400 || answer.status === 401 || answer.status === 403 || answer.status === 404) {
      this.#tried.push(`  token server ${printable(url.host)} answers ${answer.status}${reasonIn(answer.body)}`);
      return undefined;
    }
    if (answer.status !== 200)
      throw new RuntimeError(
        'ERR_HTTP_STATUS',
        `token server ${printable(url.host)} of ${registry} answers ${answer.status}${reasonIn(answer.body)}`,
      );
    const parsed = parseToken(answer.body);
    const value = parsed?.token ?? parsed?.access_token ?? '';
    // It becomes a header: what could end that line is no token.
    if (!/^[\u0021-\u007e]+$/.test(value))
      throw new RuntimeError('ERR_REGISTRY_PROTOCOL', `token server ${printable(url.host)} of ${registry} answers without a token`);
    return { value, lifeSeconds: parsed?.expires_in ?? defaultLifeSeconds };
  }

  /** Changes the query of `url` for a GET. */
  #tokenRequest(
    url: URL,
    credential: Credential | undefined,
    service: string | undefined,
    scope: string,
  ): Partial<Parameters<HttpClient['document']>[1]> {
    if (credential?.kind === 'identity') {
      const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'rkt', refresh_token: credential.token, scope });
      if (service !== undefined) form.set('service', service);
      return { method: 'POST', body: form.toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' } };
    }
    if (service !== undefined) url.searchParams.set('service', service);
    for (const one of scope.split(' ').filter((word) => word !== '')) url.searchParams.append('scope', one);
    return { authorization: credential?.kind === 'basic' ? basic(credential.user, credential.password) : undefined };
  }

  #denied(what: string): RuntimeError {
    const { registry, repository } = this.#settings;
    const nobody = this.#tried.every((line) => line === 'no credentials');
    return new RuntimeError('ERR_REGISTRY_DENIED', `${registry} does not give ${repository}: it ${what}`, {
      details: this.#tried.length === 0 ? [] : ['tried:', ...this.#tried],
      hint: nobody
        ? `is the name right? If the image is private: skopeo login ${registry}, or a file in /etc/rkt/auth.d`
        : `the image may not exist, or these credentials may not read it: skopeo login ${registry} replaces them`,
    });
  }
}

function parseToken(body: Uint8Array): z.infer<typeof tokenAnswer> | undefined {
  try {
    return tokenAnswer.safeParse(JSON.parse(Buffer.from(body).toString())).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
