--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: studydirection; Type: TYPE; Schema: public; Owner: autolora
--

CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);


ALTER TYPE public.studydirection OWNER TO autolora;

--
-- Name: trialintermediatevaluetype; Type: TYPE; Schema: public; Owner: autolora
--

CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);


ALTER TYPE public.trialintermediatevaluetype OWNER TO autolora;

--
-- Name: trialstate; Type: TYPE; Schema: public; Owner: autolora
--

CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);


ALTER TYPE public.trialstate OWNER TO autolora;

--
-- Name: trialvaluetype; Type: TYPE; Schema: public; Owner: autolora
--

CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);


ALTER TYPE public.trialvaluetype OWNER TO autolora;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


ALTER TABLE public.alembic_version OWNER TO autolora;

--
-- Name: autolora_adapters; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_adapters (
    study character varying(512) NOT NULL,
    arm character varying(128) NOT NULL,
    trial integer NOT NULL,
    score double precision NOT NULL,
    digest character varying(64) NOT NULL,
    parameters bigint NOT NULL,
    allocation json NOT NULL,
    tensors bytea NOT NULL
);


ALTER TABLE public.autolora_adapters OWNER TO autolora;

--
-- Name: autolora_alembic_version; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_alembic_version (
    version_num character varying(32) NOT NULL
);


ALTER TABLE public.autolora_alembic_version OWNER TO autolora;

--
-- Name: autolora_attempts; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_attempts (
    id integer NOT NULL,
    study character varying(512) NOT NULL,
    trial integer,
    attempt integer NOT NULL,
    worker character varying(256) NOT NULL,
    started double precision NOT NULL,
    seen double precision NOT NULL,
    ended double precision,
    state character varying(16) NOT NULL,
    reason text
);


ALTER TABLE public.autolora_attempts OWNER TO autolora;

--
-- Name: autolora_attempts_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.autolora_attempts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.autolora_attempts_id_seq OWNER TO autolora;

--
-- Name: autolora_attempts_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.autolora_attempts_id_seq OWNED BY public.autolora_attempts.id;


--
-- Name: autolora_curves; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_curves (
    study character varying(512) NOT NULL,
    trial integer NOT NULL,
    step integer NOT NULL,
    train_loss double precision,
    valid_loss double precision,
    learning_rate double precision NOT NULL
);


ALTER TABLE public.autolora_curves OWNER TO autolora;

--
-- Name: autolora_evaluations; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_evaluations (
    id integer NOT NULL,
    study character varying(512) NOT NULL,
    stage character varying(64) NOT NULL,
    allocation character varying(64) NOT NULL,
    sample character varying(64) NOT NULL,
    loss double precision,
    examples integer NOT NULL,
    example_passes integer NOT NULL
);


ALTER TABLE public.autolora_evaluations OWNER TO autolora;

--
-- Name: autolora_evaluations_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.autolora_evaluations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.autolora_evaluations_id_seq OWNER TO autolora;

--
-- Name: autolora_evaluations_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.autolora_evaluations_id_seq OWNED BY public.autolora_evaluations.id;


--
-- Name: autolora_finals; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_finals (
    study character varying(512) NOT NULL,
    arm character varying(128) NOT NULL,
    seed bigint NOT NULL,
    metric character varying(128) NOT NULL,
    trial integer NOT NULL,
    parameters bigint NOT NULL,
    value double precision NOT NULL,
    low double precision NOT NULL,
    high double precision NOT NULL
);


ALTER TABLE public.autolora_finals OWNER TO autolora;

--
-- Name: autolora_losses; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_losses (
    study character varying(512) NOT NULL,
    arm character varying(128) NOT NULL,
    seed bigint NOT NULL,
    losses bytea NOT NULL,
    weights bytea NOT NULL
);


ALTER TABLE public.autolora_losses OWNER TO autolora;

--
-- Name: autolora_stages; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_stages (
    study character varying(512) NOT NULL,
    key character varying(64) NOT NULL,
    name character varying(128) NOT NULL,
    example_passes bigint NOT NULL,
    seconds double precision NOT NULL,
    data json NOT NULL,
    adapter bytea,
    kept double precision NOT NULL
);


ALTER TABLE public.autolora_stages OWNER TO autolora;

--
-- Name: autolora_studies; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_studies (
    name character varying(512) NOT NULL,
    digest character varying(64) NOT NULL,
    description json NOT NULL,
    targets json NOT NULL,
    groups json NOT NULL,
    objective json NOT NULL,
    directions json NOT NULL,
    budget_parameters bigint,
    head_parameters bigint NOT NULL,
    versions json NOT NULL,
    created double precision NOT NULL
);


ALTER TABLE public.autolora_studies OWNER TO autolora;

--
-- Name: autolora_trials; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_trials (
    study character varying(512) NOT NULL,
    number integer NOT NULL,
    arm character varying(128) NOT NULL,
    digest character varying(64) NOT NULL,
    claimed character varying(64),
    allocation json NOT NULL,
    configuration json NOT NULL,
    parameters bigint NOT NULL,
    state character varying(16) NOT NULL,
    objectives json,
    loss double precision,
    metrics json,
    reason text,
    reused_from integer,
    example_passes bigint NOT NULL,
    seconds double precision NOT NULL,
    peak_bytes bigint NOT NULL
);


ALTER TABLE public.autolora_trials OWNER TO autolora;

--
-- Name: autolora_works; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.autolora_works (
    study character varying(512) NOT NULL,
    arm character varying(128) NOT NULL,
    seed bigint NOT NULL,
    ledger json NOT NULL,
    about json NOT NULL
);


ALTER TABLE public.autolora_works OWNER TO autolora;

--
-- Name: studies; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);


ALTER TABLE public.studies OWNER TO autolora;

--
-- Name: studies_study_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.studies_study_id_seq OWNER TO autolora;

--
-- Name: studies_study_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;


--
-- Name: study_directions; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);


ALTER TABLE public.study_directions OWNER TO autolora;

--
-- Name: study_directions_study_direction_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.study_directions_study_direction_id_seq OWNER TO autolora;

--
-- Name: study_directions_study_direction_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;


--
-- Name: study_system_attributes; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);


ALTER TABLE public.study_system_attributes OWNER TO autolora;

--
-- Name: study_system_attributes_study_system_attribute_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.study_system_attributes_study_system_attribute_id_seq OWNER TO autolora;

--
-- Name: study_system_attributes_study_system_attribute_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;


--
-- Name: study_user_attributes; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);


ALTER TABLE public.study_user_attributes OWNER TO autolora;

--
-- Name: study_user_attributes_study_user_attribute_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.study_user_attributes_study_user_attribute_id_seq OWNER TO autolora;

--
-- Name: study_user_attributes_study_user_attribute_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;


--
-- Name: trial_heartbeats; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);


ALTER TABLE public.trial_heartbeats OWNER TO autolora;

--
-- Name: trial_heartbeats_trial_heartbeat_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_heartbeats_trial_heartbeat_id_seq OWNER TO autolora;

--
-- Name: trial_heartbeats_trial_heartbeat_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;


--
-- Name: trial_intermediate_values; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);


ALTER TABLE public.trial_intermediate_values OWNER TO autolora;

--
-- Name: trial_intermediate_values_trial_intermediate_value_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNER TO autolora;

--
-- Name: trial_intermediate_values_trial_intermediate_value_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;


--
-- Name: trial_params; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);


ALTER TABLE public.trial_params OWNER TO autolora;

--
-- Name: trial_params_param_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_params_param_id_seq OWNER TO autolora;

--
-- Name: trial_params_param_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;


--
-- Name: trial_system_attributes; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);


ALTER TABLE public.trial_system_attributes OWNER TO autolora;

--
-- Name: trial_system_attributes_trial_system_attribute_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_system_attributes_trial_system_attribute_id_seq OWNER TO autolora;

--
-- Name: trial_system_attributes_trial_system_attribute_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;


--
-- Name: trial_user_attributes; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);


ALTER TABLE public.trial_user_attributes OWNER TO autolora;

--
-- Name: trial_user_attributes_trial_user_attribute_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_user_attributes_trial_user_attribute_id_seq OWNER TO autolora;

--
-- Name: trial_user_attributes_trial_user_attribute_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;


--
-- Name: trial_values; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);


ALTER TABLE public.trial_values OWNER TO autolora;

--
-- Name: trial_values_trial_value_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trial_values_trial_value_id_seq OWNER TO autolora;

--
-- Name: trial_values_trial_value_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;


--
-- Name: trials; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);


ALTER TABLE public.trials OWNER TO autolora;

--
-- Name: trials_trial_id_seq; Type: SEQUENCE; Schema: public; Owner: autolora
--

CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.trials_trial_id_seq OWNER TO autolora;

--
-- Name: trials_trial_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: autolora
--

ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;


--
-- Name: version_info; Type: TABLE; Schema: public; Owner: autolora
--

CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);


ALTER TABLE public.version_info OWNER TO autolora;

--
-- Name: autolora_attempts id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_attempts ALTER COLUMN id SET DEFAULT nextval('public.autolora_attempts_id_seq'::regclass);


--
-- Name: autolora_evaluations id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_evaluations ALTER COLUMN id SET DEFAULT nextval('public.autolora_evaluations_id_seq'::regclass);


--
-- Name: studies study_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);


--
-- Name: study_directions study_direction_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);


--
-- Name: study_system_attributes study_system_attribute_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);


--
-- Name: study_user_attributes study_user_attribute_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);


--
-- Name: trial_heartbeats trial_heartbeat_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);


--
-- Name: trial_intermediate_values trial_intermediate_value_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);


--
-- Name: trial_params param_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);


--
-- Name: trial_system_attributes trial_system_attribute_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);


--
-- Name: trial_user_attributes trial_user_attribute_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);


--
-- Name: trial_values trial_value_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);


--
-- Name: trials trial_id; Type: DEFAULT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.alembic_version VALUES ('v3.2.0.a');


--
-- Data for Name: autolora_adapters; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_adapters VALUES ('digits', 'search', 1, 0.25, '25664d0867094d57a9db12e50e44d0dd5be3299177f6575d099f9c209e51210a', 14, '{"0.weight": 2}', '\xc0030000000000007b225f5f6d657461646174615f5f223a7b226175746f6c6f7261223a227b5c2261626f75745c223a207b7d2c205c22626173655c223a207b5c226469676573745c223a205c22373463383363353764353636373237623536633265616634346335646266373366656233343861366236336432353839363964326336303232663330383130325c222c205c22706172616d65746572735c223a207b5c22302e626961735c223a205b5b335d2c205c22746f7263682e666c6f617433325c225d2c205c22302e7765696768745c223a205b5b332c20345d2c205c22746f7263682e666c6f617433325c225d7d7d2c205c22666f726d61745c223a205c226175746f6c6f72615c222c205c2266756c6c5c223a205b5d2c205c226c61796572735c223a207b5c22305c223a207b5c226f776e65725c223a205c22746f7263682e6e6e2e6d6f64756c65732e636f6e7461696e65722e53657175656e7469616c5c222c205c22706172616d65746572735c223a205b5b5c227765696768745c222c205b332c20345d5d2c205b5c22626961735c222c205b335d5d5d2c205c22746965645c223a2066616c73652c205c22747970655c223a205c22746f7263682e6e6e2e6d6f64756c65732e6c696e6561722e4c696e6561725c227d7d2c205c22746172676574735c223a207b5c22302e7765696768745c223a207b5c22626c6f636b5c223a206e756c6c2c205c22636f6c756d6e735c223a20342c205c2266697273745f726f775c223a20302c205c226b696e645c223a205c226c696e6561725c222c205c226c617965725c223a205c22305c222c205c226c61796f75745c223a205c22666c61745c222c205c226e616d655c223a205c22302e7765696768745c222c205c22706172616d657465725c223a205c227765696768745c222c205c2272616e6b5c223a20322c205c22726f77735c223a20332c205c227363616c655c223a20312e307d7d2c205c2276657273696f6e5c223a20312c205c2276657273696f6e735c223a207b5c226175746f6c6f72615c223a205c22302e312e305c222c205c227361666574656e736f72735c223a205c22302e382e305c222c205c22746f7263685c223a205c22322e31342e315c227d7d227d2c22646f776e2e302e776569676874223a7b226474797065223a22463332222c227368617065223a5b322c345d2c22646174615f6f666673657473223a5b302c33325d7d2c2275702e302e776569676874223a7b226474797065223a22463332222c227368617065223a5b332c325d2c22646174615f6f666673657473223a5b33322c35365d7d7d20202000bb973c60694a3e189b993e8c8dadbefcf45ebe98f7393e4e94d43e48bdd2bd000000000000000000000000000000000000000000000000');


--
-- Data for Name: autolora_alembic_version; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_alembic_version VALUES ('0002');


--
-- Data for Name: autolora_attempts; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_attempts VALUES (1, 'digits', 0, 1, 'elsewhere:1:1', 1795558719.1162465, 1795558719.139668, 1795558719.1456337, 'complete', NULL);
INSERT INTO public.autolora_attempts VALUES (2, 'digits', 1, 1, 'elsewhere:1:1', 1795558719.1827261, 1795558719.20073, 1795558719.2044077, 'complete', NULL);
INSERT INTO public.autolora_attempts VALUES (3, 'digits', 2, 1, 'elsewhere:1:1', 1795558719.228147, 1795558719.2146661, 1795558719.2618558, 'failed', 'interrupted');


--
-- Data for Name: autolora_curves; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_curves VALUES ('digits', 0, 10, 1, 0.9, 0.001);
INSERT INTO public.autolora_curves VALUES ('digits', 0, 20, 0.8, 0.5, 0.001);
INSERT INTO public.autolora_curves VALUES ('digits', 1, 10, 1, 0.9, 0.001);
INSERT INTO public.autolora_curves VALUES ('digits', 1, 20, 0.8, 0.25, 0.001);


--
-- Data for Name: autolora_evaluations; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: autolora_finals; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_finals VALUES ('digits', 'search', 0, 'accuracy', 1, 14, 0.9, 0.88, 0.92);


--
-- Data for Name: autolora_losses; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: autolora_stages; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: autolora_studies; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_studies VALUES ('digits', 'dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd', '{"name": "digits", "budget": {"trials": 4}, "seed": 0}', '[{"name": "0.weight", "layer": "0", "parameter": "weight", "block": null, "kind": "linear", "rows": 3, "columns": 4, "first_row": 0, "layout": "flat"}]', '{"all": ["0.weight"]}', '["loss"]', '["minimize"]', 14, 5, '{"torch": "2"}', 1795558719.0626807);


--
-- Data for Name: autolora_trials; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.autolora_trials VALUES ('digits', 0, 'search', 'digest-0', 'digest-0', '{"0.weight": 1}', '{"learning_rate": 0.001}', 7, 'complete', '[0.5]', 0.5, '{"accuracy": 0.5}', NULL, NULL, 100, 2, 1048576);
INSERT INTO public.autolora_trials VALUES ('digits', 1, 'search', 'digest-1', 'digest-1', '{"0.weight": 2}', '{"learning_rate": 0.001}', 14, 'complete', '[0.25]', 0.25, '{"accuracy": 0.75}', NULL, NULL, 100, 2, 1048576);
INSERT INTO public.autolora_trials VALUES ('digits', 2, 'search', 'digest-2', NULL, '{"0.weight": 1}', '{"learning_rate": 0.001}', 7, 'failed', NULL, NULL, NULL, 'interrupted', NULL, 0, 0, 0);


--
-- Data for Name: autolora_works; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: studies; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.studies VALUES (1, 'digits');


--
-- Data for Name: study_directions; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.study_directions VALUES (1, 'MINIMIZE', 1, 0);


--
-- Data for Name: study_system_attributes; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.study_system_attributes VALUES (1, 1, 'study:metric_names', '["loss"]');


--
-- Data for Name: study_user_attributes; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: trial_heartbeats; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: trial_intermediate_values; Type: TABLE DATA; Schema: public; Owner: autolora
--



--
-- Data for Name: trial_params; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.trial_params VALUES (1, 1, 'rank.all', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO public.trial_params VALUES (2, 1, 'learning_rate', 0.0026938830192854116, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');
INSERT INTO public.trial_params VALUES (3, 2, 'rank.all', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO public.trial_params VALUES (4, 2, 'learning_rate', 0.001229607110732572, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');
INSERT INTO public.trial_params VALUES (5, 3, 'rank.all', 2, '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 4}}');
INSERT INTO public.trial_params VALUES (6, 3, 'learning_rate', 0.0019578897201213002, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.01, "log": true}}');


--
-- Data for Name: trial_system_attributes; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.trial_system_attributes VALUES (1, 1, 'constraints', '[-7]');
INSERT INTO public.trial_system_attributes VALUES (2, 2, 'constraints', '[0]');
INSERT INTO public.trial_system_attributes VALUES (3, 3, 'constraints', '[-7]');
INSERT INTO public.trial_system_attributes VALUES (4, 4, 'fixed_params', '{"rank.all": 2, "learning_rate": 0.0019578897201213002}');


--
-- Data for Name: trial_user_attributes; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.trial_user_attributes VALUES (1, 1, 'arm', '"search"');
INSERT INTO public.trial_user_attributes VALUES (2, 1, 'digest', '"digest-0"');
INSERT INTO public.trial_user_attributes VALUES (3, 1, 'parameters', '7');
INSERT INTO public.trial_user_attributes VALUES (4, 2, 'arm', '"search"');
INSERT INTO public.trial_user_attributes VALUES (5, 2, 'digest', '"digest-1"');
INSERT INTO public.trial_user_attributes VALUES (6, 2, 'parameters', '14');
INSERT INTO public.trial_user_attributes VALUES (7, 3, 'arm', '"search"');
INSERT INTO public.trial_user_attributes VALUES (8, 3, 'digest', '"digest-2"');
INSERT INTO public.trial_user_attributes VALUES (9, 3, 'parameters', '7');
INSERT INTO public.trial_user_attributes VALUES (10, 4, 'arm', '"search"');
INSERT INTO public.trial_user_attributes VALUES (11, 4, 'attempt', '1');
INSERT INTO public.trial_user_attributes VALUES (12, 4, 'retry_of', '2');


--
-- Data for Name: trial_values; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.trial_values VALUES (1, 1, 0, 0.5, 'FINITE');
INSERT INTO public.trial_values VALUES (2, 2, 0, 0.25, 'FINITE');


--
-- Data for Name: trials; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.trials VALUES (1, 0, 1, 'COMPLETE', '2026-11-24 22:18:39.094935', '2026-11-24 22:18:39.160843');
INSERT INTO public.trials VALUES (2, 1, 1, 'COMPLETE', '2026-11-24 22:18:39.174418', '2026-11-24 22:18:39.213145');
INSERT INTO public.trials VALUES (4, 3, 1, 'WAITING', NULL, NULL);
INSERT INTO public.trials VALUES (3, 2, 1, 'FAIL', '2026-11-24 22:18:39.220981', '2026-11-24 22:18:39.260938');


--
-- Data for Name: version_info; Type: TABLE DATA; Schema: public; Owner: autolora
--

INSERT INTO public.version_info VALUES (1, 12, '5.0.0');


--
-- Name: autolora_attempts_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.autolora_attempts_id_seq', 3, true);


--
-- Name: autolora_evaluations_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.autolora_evaluations_id_seq', 1, false);


--
-- Name: studies_study_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.studies_study_id_seq', 1, true);


--
-- Name: study_directions_study_direction_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 1, true);


--
-- Name: study_system_attributes_study_system_attribute_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 1, true);


--
-- Name: study_user_attributes_study_user_attribute_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 1, false);


--
-- Name: trial_heartbeats_trial_heartbeat_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 1, false);


--
-- Name: trial_intermediate_values_trial_intermediate_value_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 1, false);


--
-- Name: trial_params_param_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_params_param_id_seq', 6, true);


--
-- Name: trial_system_attributes_trial_system_attribute_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 4, true);


--
-- Name: trial_user_attributes_trial_user_attribute_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 12, true);


--
-- Name: trial_values_trial_value_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 2, true);


--
-- Name: trials_trial_id_seq; Type: SEQUENCE SET; Schema: public; Owner: autolora
--

SELECT pg_catalog.setval('public.trials_trial_id_seq', 4, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: autolora_alembic_version autolora_alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_alembic_version
    ADD CONSTRAINT autolora_alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: autolora_adapters pk_autolora_adapters; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_adapters
    ADD CONSTRAINT pk_autolora_adapters PRIMARY KEY (study, arm);


--
-- Name: autolora_attempts pk_autolora_attempts; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_attempts
    ADD CONSTRAINT pk_autolora_attempts PRIMARY KEY (id);


--
-- Name: autolora_curves pk_autolora_curves; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_curves
    ADD CONSTRAINT pk_autolora_curves PRIMARY KEY (study, trial, step);


--
-- Name: autolora_evaluations pk_autolora_evaluations; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_evaluations
    ADD CONSTRAINT pk_autolora_evaluations PRIMARY KEY (id);


--
-- Name: autolora_finals pk_autolora_finals; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_finals
    ADD CONSTRAINT pk_autolora_finals PRIMARY KEY (study, arm, seed, metric);


--
-- Name: autolora_losses pk_autolora_losses; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_losses
    ADD CONSTRAINT pk_autolora_losses PRIMARY KEY (study, arm, seed);


--
-- Name: autolora_stages pk_autolora_stages; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_stages
    ADD CONSTRAINT pk_autolora_stages PRIMARY KEY (study, key);


--
-- Name: autolora_studies pk_autolora_studies; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_studies
    ADD CONSTRAINT pk_autolora_studies PRIMARY KEY (name);


--
-- Name: autolora_trials pk_autolora_trials; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_trials
    ADD CONSTRAINT pk_autolora_trials PRIMARY KEY (study, number);


--
-- Name: autolora_works pk_autolora_works; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_works
    ADD CONSTRAINT pk_autolora_works PRIMARY KEY (study, arm, seed);


--
-- Name: studies studies_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);


--
-- Name: study_directions study_directions_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);


--
-- Name: study_directions study_directions_study_id_objective_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);


--
-- Name: study_system_attributes study_system_attributes_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);


--
-- Name: study_system_attributes study_system_attributes_study_id_key_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);


--
-- Name: study_user_attributes study_user_attributes_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);


--
-- Name: study_user_attributes study_user_attributes_study_id_key_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);


--
-- Name: trial_heartbeats trial_heartbeats_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);


--
-- Name: trial_heartbeats trial_heartbeats_trial_id_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);


--
-- Name: trial_intermediate_values trial_intermediate_values_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);


--
-- Name: trial_intermediate_values trial_intermediate_values_trial_id_step_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);


--
-- Name: trial_params trial_params_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);


--
-- Name: trial_params trial_params_trial_id_param_name_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);


--
-- Name: trial_system_attributes trial_system_attributes_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);


--
-- Name: trial_system_attributes trial_system_attributes_trial_id_key_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);


--
-- Name: trial_user_attributes trial_user_attributes_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);


--
-- Name: trial_user_attributes trial_user_attributes_trial_id_key_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);


--
-- Name: trial_values trial_values_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);


--
-- Name: trial_values trial_values_trial_id_objective_key; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);


--
-- Name: trials trials_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);


--
-- Name: autolora_attempts uq_autolora_attempts_study; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_attempts
    ADD CONSTRAINT uq_autolora_attempts_study UNIQUE (study, trial);


--
-- Name: autolora_trials uq_autolora_trials_study; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.autolora_trials
    ADD CONSTRAINT uq_autolora_trials_study UNIQUE (study, claimed);


--
-- Name: version_info version_info_pkey; Type: CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);


--
-- Name: ix_studies_study_name; Type: INDEX; Schema: public; Owner: autolora
--

CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);


--
-- Name: ix_trials_study_id; Type: INDEX; Schema: public; Owner: autolora
--

CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);


--
-- Name: study_directions study_directions_study_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);


--
-- Name: study_system_attributes study_system_attributes_study_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);


--
-- Name: study_user_attributes study_user_attributes_study_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);


--
-- Name: trial_heartbeats trial_heartbeats_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trial_intermediate_values trial_intermediate_values_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trial_params trial_params_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trial_system_attributes trial_system_attributes_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trial_user_attributes trial_user_attributes_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trial_values trial_values_trial_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);


--
-- Name: trials trials_study_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: autolora
--

ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);


--
-- PostgreSQL database dump complete
--


